//! The oddities of Bitbucket's REST and git, numbered, and whether this program meets them when it reads. Each one that
//! it meets has a test with its number in the name: `quirk_07_...`, or `quirk_01_03_...` for several.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Whether a quirk is met.
enum Met {
    /// A reader meets it.
    Reading,
    /// A writer meets it, and something writes.
    Writing,
    /// Nothing that is there meets it, because.
    NotYet(&'static str),
}

use Met::{NotYet, Reading, Writing};

const NO_ACTIVITIES: &str = "activities and comments are not read: pull requests are not stored";
const NO_SETTINGS: &str = "settings, permissions and webhooks are not read";
const NO_RESTORE: &str = "nothing is restored to a server";

const QUIRKS: [(u8, &str, Met); 35] = [
    (1, "`size` counts the page, not the list", Reading),
    (2, "`limit` is lowered without a word", Reading),
    (3, "`nextPageStart` is not start + limit; a page may contradict itself", Reading),
    (4, "a 401 usually means no permission: the exception decides", Reading),
    (5, "application-properties answers 200 to anybody: X-AUSERNAME decides", Reading),
    (6, "login cookies and rotation make wrong identities", Reading),
    (7, "the limit is per user and node, not per token", Reading),
    (8, "429 without headers, without JSON, with any Retry-After", Reading),
    (9, "503 is about the server: rotation makes it worse", Reading),
    (10, "some lists leave archived repositories out", Reading),
    (11, "the list of pull requests is of open, incoming ones unless told otherwise", Reading),
    (12, "`updatedDate` of a pull request does not change with comments", NotYet(NO_ACTIVITIES)),
    (13, "`properties` come only in lists", NotYet("nothing decides on them; documents are kept as lists have them")),
    (14, "general comments are only in activities", NotYet(NO_ACTIVITIES)),
    (15, "tasks are blocker comments, or in comments, or gone", NotYet(NO_ACTIVITIES)),
    (16, "a MERGED activity may have no commit", NotYet(NO_ACTIVITIES)),
    (17, "no advertised reference has the commits of closed pull requests", Reading),
    (18, "refs/pull-requests/*/merge comes, moves and goes", Reading),
    (19, "clone links: any order, any host, a user name, one missing", Reading),
    (20, "joining addresses must keep the context path", Reading),
    (21, "slugs and keys change, numbers stay; personal keys are `~name`, slugs of users are no names", Reading),
    (22, "lightweight tags; names with any character", Reading),
    (23, "the default branch may be missing, unborn or unknown", Reading),
    (24, "default reviewers and others are bare arrays with inherited entries", NotYet(NO_SETTINGS)),
    (25, "what is read and what is written have different shapes", NotYet(NO_RESTORE)),
    (26, "a token is made by PUT; writes need X-Atlassian-Token", Writing),
    (27, "writes carry a version, and 409 tells another", NotYet(NO_RESTORE)),
    (28, "dates, build numbers and token ids come in several types", Reading),
    (29, "several errors in one answer: the second may decide", Reading),
    (30, "redirects and login pages look like success", Reading),
    (31, "/status says MAINTENANCE with success", Reading),
    (32, "users vanish, and their names and keys change", Reading),
    (33, "what a fork or a pull request comes from may be missing", Reading),
    (34, "attachments are on no list", NotYet(NO_ACTIVITIES)),
    (35, "secrets of webhooks come in clear or not at all", NotYet(NO_SETTINGS)),
];

/// The numbers in the names of tests below a folder.
fn tested(folder: &Path, found: &mut BTreeSet<u8>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tested(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for name in text.split("fn quirk_").skip(1) {
                let numbers = name.split('_').map_while(|part| part.parse::<u8>().ok().filter(|_| part.len() == 2));
                found.extend(numbers);
            }
        }
    }
}

#[test]
fn every_quirk_that_is_met_has_a_test_by_its_number() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    tested(&root.join("src"), &mut found);
    tested(&root.join("tests/e2e"), &mut found);
    tested(&root.join("tests/fake_bitbucket"), &mut found);
    for (index, (number, what, met)) in QUIRKS.iter().enumerate() {
        assert_eq!(usize::from(*number), index + 1, "they are in order");
        match met {
            Reading | Writing => assert!(found.remove(number), "no test has the number of quirk {number}: {what}"),
            NotYet(why) => {
                assert!(!found.contains(number), "quirk {number} has a test, and is said not to be met: {why}");
            }
        }
    }
    assert!(found.is_empty(), "there are no such quirks: {found:?}");
}
