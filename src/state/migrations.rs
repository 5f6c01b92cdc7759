//! The schema, as the list of steps that lead to it.
//!
//! A step that was released is never edited: databases out there have taken it. A new one is added at the end.

/// Step `n` leads from schema `n` to schema `n + 1`. Each is a list of statements that run in one transaction.
pub(super) const STEPS: &[&[&str]] = &[
    &[
        "CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE generations (
        generation BIGINT NOT NULL PRIMARY KEY,
        applied_at BIGINT NOT NULL,
        plan_id TEXT NOT NULL,
        body TEXT NOT NULL)",
        "CREATE TABLE server_facts (server TEXT NOT NULL PRIMARY KEY, body BLOB NOT NULL)",
        "CREATE TABLE destinations (
        name TEXT NOT NULL,
        place TEXT NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (name, place))",
        "CREATE TABLE chains (
        destination TEXT NOT NULL,
        server TEXT NOT NULL,
        repository TEXT NOT NULL,
        snapshot TEXT NOT NULL,
        body BLOB NOT NULL,
        broken TEXT,
        PRIMARY KEY (destination, server, repository))",
        "CREATE TABLE snapshots (
        id TEXT NOT NULL PRIMARY KEY,
        created BIGINT NOT NULL,
        plan TEXT NOT NULL,
        plan_name TEXT NOT NULL,
        destination TEXT NOT NULL,
        server TEXT NOT NULL,
        repository TEXT NOT NULL,
        project TEXT NOT NULL,
        slug TEXT NOT NULL,
        body TEXT NOT NULL,
        damaged TEXT)",
        "CREATE INDEX snapshots_of_repository ON snapshots (repository, server, destination, plan, id)",
        "CREATE TABLE runs (
        id TEXT NOT NULL PRIMARY KEY,
        plan TEXT NOT NULL,
        plan_name TEXT NOT NULL,
        generation BIGINT NOT NULL,
        state TEXT NOT NULL,
        started BIGINT NOT NULL,
        finished BIGINT,
        summary TEXT)",
        "CREATE INDEX runs_by_age ON runs (started, id)",
        "CREATE TABLE tasks (
        run TEXT NOT NULL REFERENCES runs (id),
        server TEXT NOT NULL,
        repository TEXT NOT NULL,
        project TEXT NOT NULL,
        slug TEXT NOT NULL,
        state TEXT NOT NULL,
        detail TEXT NOT NULL,
        changed BIGINT NOT NULL,
        PRIMARY KEY (run, server, repository))",
    ],
    &[
        "CREATE TABLE observed (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (kind, name))",
        "CREATE TABLE conditions (
        address TEXT NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (address, kind))",
        "CREATE TABLE listings (
        server TEXT NOT NULL,
        project TEXT NOT NULL,
        observed_at BIGINT NOT NULL,
        PRIMARY KEY (server, project))",
        "CREATE TABLE inventory (
        server TEXT NOT NULL,
        repository TEXT NOT NULL,
        listed_in TEXT NOT NULL,
        seen_at BIGINT NOT NULL,
        stored BIGINT,
        body TEXT NOT NULL,
        PRIMARY KEY (server, repository))",
    ],
    &["CREATE TABLE agenda (
        plan TEXT NOT NULL PRIMARY KEY,
        timetable TEXT NOT NULL,
        dealt_with BIGINT NOT NULL)"],
    &[
        "ALTER TABLE runs ADD COLUMN resumes TEXT",
        "ALTER TABLE runs ADD COLUMN repository TEXT",
        "CREATE INDEX tasks_by_name ON tasks (run, project, slug, repository, server)",
    ],
    &[
        "CREATE TABLE queue_runs (
        run TEXT NOT NULL PRIMARY KEY REFERENCES runs (id),
        owner TEXT NOT NULL,
        open_until BIGINT NOT NULL)",
        "CREATE TABLE queue (
        run TEXT NOT NULL REFERENCES runs (id),
        server TEXT NOT NULL,
        repository TEXT NOT NULL,
        place BIGINT NOT NULL,
        project TEXT NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL,
        owner TEXT NOT NULL,
        epoch BIGINT NOT NULL,
        losses BIGINT NOT NULL,
        lease_until BIGINT NOT NULL,
        not_before BIGINT NOT NULL,
        PRIMARY KEY (run, server, repository))",
        "CREATE UNIQUE INDEX queue_one_worker ON queue (server, repository) WHERE state = 'running'",
        "CREATE INDEX queue_of_project ON queue (run, project, state, place)",
        "CREATE INDEX queue_of_owner ON queue (owner, state)",
        "CREATE TABLE workers (id TEXT NOT NULL PRIMARY KEY, who TEXT NOT NULL, seen_until BIGINT NOT NULL)",
    ],
];
