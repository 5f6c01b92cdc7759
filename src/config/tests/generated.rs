//! Documents made from the table: they are valid, and one mistake in them is found where it is.

use std::fmt::Write as _;

use super::super::schema::{NodeSpec, ValueSpec, children_of};
use super::*;

/// Keys whose identities nobody has.
const KEYS: [&str; 4] = [
    "age10gragpv26w0gse85md709kmt3fc8zgnt8qnw7qptae402e2c9asqtsfjjv",
    "age12krxvxscp97fte73xve20nlp2pzwl4lc8p9asgc8z34rt8vuagyqm0w3d3",
    "age1p6pql489v8xuhn5wqxudxfgvhsf2dvwggd5r0gfpewnd589y8fnq9f3nlc",
    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
];
const SEALED: &str = "(age)\"YWdlLWVuY3J5cHRpb24ub3JnL3YxCg==\"";

/// Writes a document by walking through the table; `rolls` decide what may be one way or another.
struct Author<'a> {
    rolls: std::iter::Cycle<std::slice::Iter<'a, u16>>,
    /// How many of each top-level node, so that names refer to something.
    counts: BTreeMap<&'static str, usize>,
    /// How many additional credentials each project has.
    extras: usize,
    text: String,
}

impl<'a> Author<'a> {
    fn write(rolls: &'a [u16]) -> String {
        let mut author = Self { rolls: rolls.iter().cycle(), counts: BTreeMap::new(), extras: 0, text: String::new() };
        author.extras = author.roll(3);
        for row in children_of("") {
            let count = match row.name {
                // Other files are for other tests.
                "include" => 0,
                // A plan refers to one of each.
                "server" | "destination" | "retention" | "project" | "plan" => 1 + author.roll(2),
                // What was moved has become a plan.
                "moved" => author.roll_count(row).min(author.counts["plan"]),
                _ => author.roll_count(row),
            };
            author.counts.insert(row.name, count);
        }
        author.level("", 0, 0);
        author.text
    }

    /// A number below `bound`.
    fn roll(&mut self, bound: usize) -> usize {
        usize::from(*self.rolls.next().expect("there are rolls")) % bound
    }

    fn roll_count(&mut self, row: &NodeSpec) -> usize {
        row.min + self.roll(row.max.min(row.min + 2) - row.min + 1)
    }

    /// The children of the `parent`th node of a context.
    fn level(&mut self, context: &str, parent: usize, depth: usize) {
        let first = self.roll(2) == 0;
        for row in children_of(context).filter(|row| row.availability == Availability::Built) {
            let count = self.count(row, parent, first);
            for index in 0..count {
                self.node(row, parent, index, depth);
            }
        }
    }

    /// How many of a row; `first` is which of two that exclude each other.
    fn count(&mut self, row: &NodeSpec, parent: usize, first: bool) -> usize {
        // The first destination is one that plans can name.
        let bucket = parent > 0 && first;
        match row.path().as_str() {
            path if row.context.is_empty() => self.counts[path],
            "destination/local" => usize::from(!bucket),
            "destination/s3" | "destination/access-key" | "destination/secret-key" => usize::from(bucket),
            "destination/object-lock" => usize::from(bucket) * self.roll(2),
            "project/additional-credential" => self.extras,
            "project/credential/token" | "project/additional-credential/token" => usize::from(first),
            "project/credential/password" | "project/additional-credential/password" => usize::from(!first),
            "plan/project" => 1 + self.roll(self.counts["project"]),
            "plan/project/enable-credentials" => usize::from(self.extras > 0) * self.roll(2),
            "plan/destination"
            | "plan/retention/keep"
            | "alerts/slack"
            | "alerts/slack/address"
            | "alerts/email/password" => 1,
            // An address that is sealed has nothing sealed for it.
            "alerts/webhook/signing-key" | "alerts/ntfy/token" => usize::from(self.has_clear_address()),
            "alerts/webhook/address" | "alerts/healthchecks/address" | "alerts/ntfy/address" => {
                usize::from(!self.has_clear_address())
            }
            "alerts/plan" => self.roll(self.counts["plan"] + 1),
            _ => self.roll_count(row),
        }
    }

    /// Whether the node whose block begins here has an address in clear text.
    fn has_clear_address(&self) -> bool {
        self.text.lines().last().is_some_and(|line| line.contains("https://"))
    }

    fn node(&mut self, row: &NodeSpec, parent: usize, index: usize, depth: usize) {
        write!(self.text, "{}{}", "    ".repeat(depth), row.name).unwrap();
        // A plan's retention has a name or a block.
        let named = row.path() == "plan/retention" && self.roll(2) == 0;
        // The address of alerts stands behind the name or is sealed.
        let clear = row.context == "alerts" && self.roll(2) == 0;
        let written = |value: &&ValueSpec| value.required || named || clear || value.kind == ValueKind::Sealed;
        for value in row.arguments.iter().filter(written) {
            let more = if value.repeated { 1 + self.roll(self.most(row, value)) } else { 1 };
            for place in 0..more {
                let value = self.value(row, value, parent, index + place);
                write!(self.text, " {value}").unwrap();
            }
        }
        let missed_is_skipped = self.text.ends_with("missed \"skip\"");
        let mut said = 0;
        for (place, value) in row.properties.iter().enumerate() {
            let excluded = match (row.name, value.name) {
                ("token" | "password", "file") | (_, "same-as" | "sealed-for") => true,
                ("missed", "within") => missed_is_skipped,
                _ => false,
            };
            let needed = value.required
                || matches!(value.name, "account" | "region")
                || (row.arguments.is_empty() && said == 0 && place + 1 == row.properties.len());
            if !excluded && (needed || self.roll(2) == 0) {
                said += 1;
                let written = self.value(row, value, parent, index);
                write!(self.text, " {}={written}", value.name).unwrap();
            }
        }
        let is_leaf = children_of(&row.path()).next().is_none();
        if !is_leaf && !named {
            self.text.push_str(" {\n");
            self.level(&row.path(), index, depth + 1);
            self.text.push_str(&"    ".repeat(depth));
            self.text.push('}');
        }
        self.text.push('\n');
    }

    /// How many different values a repeated argument has.
    fn most(&self, row: &NodeSpec, value: &ValueSpec) -> usize {
        match value.kind {
            ValueKind::Word(words) => words.iter().filter(|word| word.availability == Availability::Built).count(),
            _ => {
                if row.name == "enable-credentials" {
                    self.extras
                } else {
                    2
                }
            }
        }
    }

    fn value(&mut self, row: &NodeSpec, value: &ValueSpec, parent: usize, index: usize) -> String {
        let text = match value.kind {
            ValueKind::Sealed => return SEALED.to_owned(),
            ValueKind::Integer(min, max) => {
                let span = usize::try_from(max - min + 1).unwrap();
                return (min + i128::try_from(self.roll(span)).unwrap()).to_string();
            }
            ValueKind::Duration => ["5m", "12h", "1d"][self.roll(3)].to_owned(),
            ValueKind::TimeOfDay if value.name == "stop" => ["18:00", "17:59"][self.roll(2)].to_owned(),
            ValueKind::TimeOfDay => format!("{:02}:{:02}", 8 + index % 9, index / 9),
            ValueKind::Date => ["2027-03-01", "2028-02-29"][self.roll(2)].to_owned(),
            ValueKind::Percent(min, max) => format!("{}%", usize::from(min) + self.roll(usize::from(max - min) + 1)),
            ValueKind::Url => format!("https://host-{parent}.example.com/bitbucket"),
            ValueKind::Word(words) => {
                let built: Vec<_> = words.iter().filter(|word| word.availability == Availability::Built).collect();
                let place = if value.repeated { index } else { self.roll(built.len()) };
                built[place].name.to_owned()
            }
            ValueKind::Address if value.name == "to" => return format!("\"plan/plan-{index}\""),
            ValueKind::Address => format!("plan/{}-{index}", row.name),
            ValueKind::Text => self.name(row, value, index),
        };
        format!("\"{text}\"")
    }

    /// A text that fits where it stands and refers to what is there.
    fn name(&mut self, row: &NodeSpec, value: &ValueSpec, index: usize) -> String {
        match (row.path().as_str(), value.name) {
            (_, "public key") => KEYS[index].to_owned(),
            ("alerts/plan", _) => format!("plan-{index}"),
            ("alerts/email", "server") => "smtps://mail.example.com".to_owned(),
            ("alerts/email", "mail address" | "from") => format!("ops-{index}@example.com"),
            ("alerts/exec", _) => "/usr/local/bin/page".to_owned(),
            (_, "server") => format!("server-{}", self.roll(self.counts["server"])),
            (_, "account") => format!("account-{}-{index}", row.name),
            (_, "cron") => ["30 1 * * *", "*/15 * * * *", "0 2 13 * +5"][self.roll(3)].to_owned(),
            (_, "tz") => ["UTC", "Europe/Warsaw"][self.roll(2)].to_owned(),
            ("project" | "plan/project", "key") => format!("PROJECT_{index}"),
            ("plan/destination", _) => "destination-0".to_owned(),
            ("plan/retention", _) => "retention-0".to_owned(),
            ("project/additional-credential" | "plan/project/enable-credentials", _) => format!("extra-{index}"),
            ("destination/s3", "bucket") => "bucket".to_owned(),
            _ => format!("{}-{index}", row.name),
        }
    }
}

fn rolls() -> impl Strategy<Value = Vec<u16>> {
    proptest::collection::vec(any::<u16>(), 40..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_the_table_allows_is_read(rolls in rolls()) {
        let text = Author::write(&rolls);
        let decoded = decoded(&text);
        prop_assert!(!decoded.declaration.plans.is_empty());
        let file = file(text);
        let laid_out = format(&file).unwrap();
        prop_assert_eq!(decode(&alone(laid_out)).unwrap().declaration, decoded.declaration);
    }

    #[test]
    fn one_mistake_in_what_the_table_allows_is_found_where_it_is(rolls in rolls(), which in any::<prop::sample::Index>()) {
        let all = mutations(&Author::write(&rolls));
        which.get(&all).assert_refused();
    }
}

#[test]
fn together_the_documents_use_every_row() {
    let mut used = BTreeSet::new();
    for seed in 0..200_u16 {
        // A sequence without short cycles, the same for everybody.
        let rolls: Vec<u16> = (0..300_u32)
            .map(|at| {
                let mixed = (at + 1).wrapping_mul(2_654_435_761).wrapping_add(u32::from(seed).wrapping_mul(40_503));
                u16::try_from((mixed ^ (mixed >> 15)) >> 16).unwrap()
            })
            .collect();
        each(&nodes(&Author::write(&rolls)), "", &mut |path, _| {
            used.insert(path.to_owned());
        });
    }
    for row in SCHEMA.iter().filter(|row| row.availability == Availability::Built && row.name != "include") {
        assert!(used.contains(&row.path()), "{}", row.path());
    }
}
