//! What is said, in plain words and for programs.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ping::{Ping, PingKind};
use super::trouble::minute;
use crate::model::{AlertsName, Channel, FilePlace, Occasion, PlanName, is_hidden};

/// Characters after which a piece of foreign text is cut.
const LONGEST: usize = 300;

/// Events that are told one by one before their number is.
const TOLD: usize = 20;

/// What happened to a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It began.
    Begins,
    /// It lasts, for another reason.
    Changed,
    /// It is over.
    Over,
}

impl Phase {
    /// The word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begins => "begins",
            Self::Changed => "changed",
            Self::Over => "over",
        }
    }
}

/// Something that is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub phase: Phase,
    /// To which kind of trouble.
    pub occasion: Occasion,
    /// What it is about.
    pub about: String,
    /// The plans that it concerns; all of them if there is none.
    pub plans: Vec<PlanName>,
    /// Where in the files of the declaration, if it is about a place there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<FilePlace>,
    /// Since when it is, or was.
    pub since: Timestamp,
    /// Why, as one word.
    pub reason: String,
    /// What is wrong; of what is over, what was.
    pub what: String,
    /// What to do next. Nothing for what is over.
    pub next: String,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Letter {
    /// Events.
    Alert {
        /// What.
        events: Vec<Event>,
        /// From which machine.
        host: String,
        /// When it was decided.
        at: Timestamp,
    },
    /// A sign of life of a run.
    Ping {
        /// Which.
        ping: Ping,
        /// From which machine.
        host: String,
        /// When it was decided.
        at: Timestamp,
    },
    /// A try.
    Test {
        /// From which machine.
        host: String,
        /// When.
        at: Timestamp,
    },
}

impl Letter {
    /// One line.
    pub fn subject(&self) -> String {
        match self {
            Self::Alert { events, .. } => match &events[..] {
                [] => "xopero: nothing".to_owned(),
                [only] => format!("xopero: {}", headline(only)),
                [first, rest @ ..] => format!("xopero: {}, and {} more", headline(first), rest.len()),
            },
            Self::Ping { ping, .. } => match ping.kind {
                PingKind::Start => format!("xopero: plan {} begins", ping.plan),
                PingKind::Success => format!("xopero: plan {} backed up everything", ping.plan),
                PingKind::Fail => format!("xopero: plan {} did not back up everything", ping.plan),
            },
            Self::Test { host, .. } => format!("xopero: a test from {}", plain(host)),
        }
    }

    /// The whole of it, for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match self {
            Self::Alert { events, host, .. } => {
                for event in events.iter().take(TOLD) {
                    let separator = if text.is_empty() { "" } else { "\n" };
                    write!(text, "{separator}{}", paragraph(event, host)).expect("strings take everything");
                }
                if events.len() > TOLD {
                    writeln!(text, "\nAnd {} more: xopero status", events.len() - TOLD)
                        .expect("strings take everything");
                }
            }
            Self::Ping { ping, host, at } => {
                writeln!(text, "Run {} of plan {} on {}, {}", ping.run, ping.plan, plain(host), minute(*at))
                    .expect("strings take everything");
                if let Some(what) = &ping.what {
                    writeln!(text, "{}", plain(what)).expect("strings take everything");
                }
                if let Some(next) = &ping.next {
                    writeln!(text, "Next:  {}", plain(next)).expect("strings take everything");
                }
            }
            Self::Test { host, at } => {
                writeln!(
                    text,
                    "This is a test: `xopero alert test` on {}, {}.\nIf you can read it, alerts arrive here.",
                    plain(host),
                    minute(*at)
                )
                .expect("strings take everything");
            }
        }
        text
    }

    /// The document for programs.
    pub fn document(&self, id: &str, alerts: &AlertsName) -> Value {
        let mut document = json!({
            "v": 1,
            "idempotency_key": id,
            "alerts": alerts,
            "subject": self.subject(),
            "text": self.text(),
        });
        let (kind, host, at) = match self {
            Self::Alert { host, at, .. } => ("alert", host, at),
            Self::Ping { host, at, .. } => ("ping", host, at),
            Self::Test { host, at } => ("test", host, at),
        };
        document["type"] = kind.into();
        document["host"] = plain(host).into();
        document["at"] = at.to_string().into();
        match self {
            Self::Alert { events, .. } => document["events"] = events.iter().map(event_document).collect(),
            Self::Ping { ping, .. } => document["ping"] = json!(ping),
            Self::Test { .. } => {}
        }
        document
    }

    /// Whether somebody should be woken by it.
    pub fn is_urgent(&self) -> bool {
        match self {
            Self::Alert { events, .. } => events.iter().any(|event| event.phase != Phase::Over),
            Self::Ping { .. } | Self::Test { .. } => false,
        }
    }

    /// Whether it goes by this way: a service that waits for signs of life hears nothing else.
    pub fn goes_by(&self, channel: Channel) -> bool {
        match (self, channel) {
            (Self::Alert { .. }, Channel::Healthchecks) => false,
            (Self::Ping { .. }, other) => other == Channel::Healthchecks,
            (Self::Alert { .. } | Self::Test { .. }, _) => true,
        }
    }
}

fn event_document(event: &Event) -> Value {
    let Event { phase, occasion, about, plans, place, since, reason, what, next } = event;
    let mut document = json!({
        "phase": phase, "occasion": occasion, "about": plain(about), "plans": plans, "since": since,
        "reason": plain(reason), "what": plain(what), "next": plain(next),
    });
    if let Some(FilePlace { file, line, column }) = place {
        document["place"] = json!({ "file": plain(file), "line": line, "column": column });
    }
    document
}

/// What an event comes to, as few words.
fn headline(event: &Event) -> String {
    let about = plain(&event.about.replacen("plan/", "plan ", 1));
    let words = match (event.phase, event.occasion) {
        (Phase::Over, Occasion::Failed | Occasion::Overdue) => "is backed up again",
        (Phase::Over, Occasion::Throttled) => "goes on",
        (Phase::Over, Occasion::Server) => "can be reached again",
        (Phase::Over, Occasion::Approval) => "waits for nobody any more",
        (Phase::Over, Occasion::Source) => "is followed again",
        (Phase::Over, Occasion::Suspect | Occasion::Credential | Occasion::Destination) | (_, Occasion::Recovered) => {
            "is in order again"
        }
        (_, Occasion::Failed) if event.reason == "partial" => "was not backed up completely",
        (_, Occasion::Failed) => "was not backed up",
        (_, Occasion::Throttled) => "waits for the server's limit",
        (_, Occasion::Overdue) => "is overdue",
        (_, Occasion::Suspect) => "lists much less than before",
        (_, Occasion::Credential) => "needs a look",
        (_, Occasion::Server) => "cannot be reached",
        (_, Occasion::Destination) => "belongs to somebody else",
        (_, Occasion::Approval) => "waits for your approval",
        (_, Occasion::Source) if event.reason == "invalid" => "has errors and is not applied",
        (_, Occasion::Source) if event.reason == "refused" => "is refused and not applied",
        (_, Occasion::Source) if event.reason == "stale" => "cannot be read",
        (_, Occasion::Source) => "cannot be followed",
    };
    format!("{about} {words}")
}

fn paragraph(event: &Event, host: &str) -> String {
    let mut text = format!("{}.\n", capitalised(&headline(event)));
    let verb = if event.phase == Phase::Over { "Was:  " } else { "What: " };
    writeln!(text, "{verb} {}", plain(&event.what)).expect("strings take everything");
    let plans: Vec<&str> = event.plans.iter().take(TOLD).map(PlanName::as_str).collect();
    let concerned = if plans.is_empty() || event.about.starts_with("plan/") {
        String::new()
    } else {
        format!(", concerns {}", plans.join(", "))
    };
    writeln!(text, "Where: {} on {}{concerned}", plain(&event.about), plain(host)).expect("strings take everything");
    writeln!(text, "Since: {}", minute(event.since)).expect("strings take everything");
    if event.phase != Phase::Over && !event.next.is_empty() {
        writeln!(text, "Next:  {}", plain(&event.next)).expect("strings take everything");
    }
    text
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// Foreign text on one line, with what a terminal would obey or hide spelt out, and not too long.
pub(super) fn plain(text: &str) -> String {
    let mut safe = String::new();
    for character in text.chars().take(LONGEST) {
        if is_hidden(character) {
            write!(safe, "\\u{{{:x}}}", u32::from(character)).expect("strings take everything");
        } else {
            safe.push(character);
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        safe.push('…');
    }
    safe
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::alert) fn event(phase: Phase) -> Event {
        Event {
            phase,
            occasion: Occasion::Failed,
            about: "plan/nightly".into(),
            plans: vec!["nightly".parse().unwrap()],
            place: None,
            since: "2026-11-22T01:30:00Z".parse().unwrap(),
            reason: "partial".into(),
            what: "run of 2026-11-22 01:30: partial, 3 repositories not backed up".into(),
            next: "see why: xopero runs show 01J".into(),
        }
    }

    pub(in crate::alert) fn letter(events: Vec<Event>) -> Letter {
        Letter::Alert { events, host: "ada@vault".into(), at: "2026-11-22T06:00:00Z".parse().unwrap() }
    }

    #[test]
    fn an_alert_reads_like_this() {
        let letter = letter(vec![event(Phase::Begins)]);
        assert_eq!(letter.subject(), "xopero: plan nightly was not backed up completely");
        assert_eq!(
            letter.text(),
            "Plan nightly was not backed up completely.\n\
             What:  run of 2026-11-22 01:30: partial, 3 repositories not backed up\n\
             Where: plan/nightly on ada@vault\n\
             Since: 2026-11-22 01:30 UTC\n\
             Next:  see why: xopero runs show 01J\n"
        );
    }

    #[test]
    fn the_end_is_told_without_a_next_step() {
        let letter = letter(vec![event(Phase::Over), event(Phase::Over)]);
        assert_eq!(letter.subject(), "xopero: plan nightly is backed up again, and 1 more");
        assert!(!letter.text().contains("Next:") && letter.text().contains("Was:   run of"), "{}", letter.text());
        assert!(!letter.is_urgent());
    }

    #[test]
    fn every_trouble_has_words_for_its_beginning_and_its_end() {
        for occasion in Occasion::ALL {
            let [begins, over] = [Phase::Begins, Phase::Over].map(|phase| {
                let of_it = Event { occasion, about: "it".into(), ..event(phase) };
                letter(vec![of_it]).subject()
            });
            assert_eq!(begins == over, occasion == Occasion::Recovered, "{begins} {over}");
        }
        let broken = |reason: &str| Event {
            occasion: Occasion::Source,
            about: "the declaration".into(),
            plans: Vec::new(),
            reason: reason.into(),
            what: "xopero.kdl:3:1: there is no node `servr`".into(),
            ..event(Phase::Begins)
        };
        let text = letter(vec![broken("invalid")]).text();
        let expected = "The declaration has errors and is not applied.\n\
                        What:  xopero.kdl:3:1: there is no node `servr`\n\
                        Where: the declaration on ada@vault\n";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(letter(vec![broken("stale")]).subject(), "xopero: the declaration cannot be read");
    }

    #[test]
    fn foreign_text_is_spelt_out_and_bounded() {
        let hostile =
            Event { what: format!("\u{1b}[2J\r\nBcc: x\u{202e}{}", "x".repeat(1000)), ..event(Phase::Begins) };
        let letter = letter(vec![hostile]);
        let document = letter.document("id", &"ops".parse().unwrap()).to_string();
        for text in [letter.text(), letter.subject(), document] {
            assert!(!text.chars().any(|c| is_hidden(c) && c != '\n'), "{text:?}");
            assert!(text.len() < 2000, "{text}");
        }
    }

    #[test]
    fn programs_get_a_document_with_an_identity() {
        let document = letter(vec![event(Phase::Begins)]).document("7f31", &"ops".parse().unwrap());
        assert_eq!(document["idempotency_key"], "7f31");
        assert_eq!(
            (&document["type"], &document["v"], &document["alerts"]),
            (&json!("alert"), &json!(1), &json!("ops"))
        );
        let event = &document["events"][0];
        assert_eq!((&event["phase"], &event["occasion"]), (&json!("begins"), &json!("failed")));
        assert_eq!(event.get("place"), None);
        let place = Some(FilePlace { file: "teams/web.kdl\n".into(), line: 3, column: 5 });
        let broken = letter(vec![Event { place, ..super::tests::event(Phase::Begins) }]);
        let place = &broken.document("7f31", &"ops".parse().unwrap())["events"][0]["place"];
        assert_eq!(*place, json!({"file": "teams/web.kdl\\u{a}", "line": 3, "column": 5}));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let letter = letter(vec![event(Phase::Changed)]);
        let stored = serde_json::to_value(&letter).unwrap();
        assert_eq!(serde_json::from_value::<Letter>(stored).unwrap(), letter);
    }

    #[test]
    fn many_are_told_as_a_number() {
        let letter = letter(vec![event(Phase::Begins); 500]);
        assert!(letter.text().ends_with("And 480 more: xopero status\n"));
    }
}
