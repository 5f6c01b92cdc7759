//! What is shipped for whoever watches the watch: rules for alerts and a dashboard, held against the figures that there
//! are.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use fake_bitbucket::{Action, Kind, When};
use rustix::process::Signal;
use serde_json::Value;

use crate::scene::{apply_pool, readers};
use crate::service::get_at;
use crate::support::Home;
use crate::watch::{Watching, miss, world};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/prometheus/alerts.yml");
const DASHBOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/prometheus/grafana.json");

/// What a watch serves that has met a limit, since figures of accounts are there when there is something to tell.
fn figures(home: &Home) -> String {
    apply_pool(home, &[("extra-1", "one")], &["extra-1"]);
    miss(home);
    home.server.fault(When::kind(Kind::LS_REFS).account("main").first(1), Action::status(429));
    let mut watch = Watching::start(home, &["--listen"]);
    assert_eq!(watch.line("run_ended")["outcome"], "done");
    home.xopero_as("backup.txt", &["verify", "PAY/ledger"]).success();
    let (status, text) = get_at(&home.path().join(".xopero/xopero.sock"), "/metrics");
    assert_eq!(status, 200);
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
    text
}

#[test]
fn rules_and_dashboard_speak_of_figures_that_are_served() {
    let world = world();
    world.project("PAY").many("repo", 4);
    let home = &Home::new(world, readers(&["main", "one"]));
    let figures = figures(home);
    let rules = std::fs::read_to_string(RULES).expect("it can be read");
    let rules: Vec<_> = rules.lines().filter_map(|line| line.trim_start().strip_prefix("expr: ")).collect();
    let expressions = expressions();
    assert!(rules.len() >= 6 && expressions.len() >= 10, "{rules:?} {expressions:?}");
    let all = rules.into_iter().chain(expressions.iter().map(String::as_str));
    let words = all.flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let named: BTreeSet<&str> = words.filter(|word| word.starts_with("xopero_")).collect();
    for name in named {
        assert!(figures.contains(&format!("# TYPE {name} ")), "{name} is not in\n{figures}");
    }
    if let Ok(status) = home.command("promtool").args(["check", "rules", RULES]).status() {
        assert!(status.success());
        let as_rules = home.path().join("dashboard.yml");
        std::fs::write(&as_rules, recorded(&expressions)).expect("it can be written");
        assert!(
            home.command("promtool").arg("check").arg("rules").arg(&as_rules).status().expect("as before").success()
        );
    }
}

fn dashboard() -> Value {
    let text = std::fs::read_to_string(DASHBOARD).expect("it can be read");
    serde_json::from_str(&text).expect("it is JSON")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("no list {name} in {value}"))
}

/// What the panels and variables of the dashboard ask Prometheus for.
fn expressions() -> Vec<String> {
    let dashboard = dashboard();
    let targets = list(&dashboard, "panels").iter().flat_map(|panel| list(panel, "targets"));
    let asked = targets.map(|target| target["expr"].as_str().expect("a target asks something").to_owned());
    let variables = list(&dashboard["templating"], "list").iter();
    let named = variables.filter_map(|variable| variable["definition"].as_str()).map(|definition| {
        let inner = definition.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(", "));
        inner.unwrap_or_else(|| panic!("{definition}")).0.to_owned()
    });
    asked.chain(named).collect()
}

/// The expressions as rules, with what Grafana puts in place of its own.
fn recorded(expressions: &[String]) -> String {
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, expression) in expressions.iter().enumerate() {
        let plain = expression.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$plan", ".*");
        assert!(!plain.contains('$') && !plain.contains('\''), "{plain}");
        writeln!(rules, "      - record: panel:{number}\n        expr: '{plain}'").expect("strings take everything");
    }
    rules
}

#[test]
fn the_dashboard_can_be_imported_and_its_panels_lie_side_by_side() {
    let dashboard = dashboard();
    assert!(dashboard["id"].is_null() && dashboard["schemaVersion"] == 38, "one that Grafana 10 and later import");
    let source = &list(&dashboard["templating"], "list")[0];
    assert!(source["type"] == "datasource" && source["name"] == "datasource" && source["query"] == "prometheus");
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard, "panels") {
        assert!(ids.insert(panel["id"].as_u64().expect("a panel has a number")), "{panel}");
        for part in std::iter::once(panel).chain(list(panel, "targets")) {
            assert_eq!(part["datasource"]["uid"], "${datasource}", "{part}");
        }
        assert!(["title", "description"].iter().all(|name| panel[name].as_str().is_some_and(|text| !text.is_empty())));
        assert!(["bargauge", "stat", "timeseries"].iter().any(|kind| panel["type"] == *kind), "{panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().expect("it has a place"));
        assert!(x + w <= 24 && w > 0 && h > 0, "{panel}");
        for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |row| (column, row))) {
            assert!(taken.insert(cell), "{} lies over another panel", panel["title"]);
        }
    }
}
