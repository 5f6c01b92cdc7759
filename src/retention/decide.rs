//! The fate of each snapshot.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::Rule;
use super::rule::Period;
use crate::model::{Retention, SnapshotId};

/// One snapshot, as far as retention looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Its identity. Decides between two of the same time.
    pub id: SnapshotId,
    /// When it was taken.
    pub created: Timestamp,
    /// Whether it can stand in for others.
    pub standing: Standing,
}

/// Whether a snapshot can stand in for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can.
    Sound,
    /// The source was empty or shrunken: it must not replace what was there before.
    Suspect,
    /// Damage was found in it.
    Damaged,
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays, for at least one reason.
    Stays(Vec<Reason>),
    /// No rule keeps it. It stays until then all the same.
    Leaves {
        /// From when on it may be pruned.
        from: Timestamp,
    },
}

/// Why a snapshot stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is the newest one that is sound.
    Newest,
    /// A rule keeps it.
    Rule {
        /// The rule.
        rule: Rule,
        /// Its place among those that the rule keeps: 1 is the newest.
        place: u32,
    },
    /// It is suspect or damaged, and no sound one came after it.
    Unreplaced,
    /// The newest snapshot is suspect: until somebody has looked, nothing leaves.
    Frozen,
    /// It is dated in the future.
    Ahead,
    /// No rule is in use.
    NoRules,
}

impl Fate {
    /// Whether a reason keeps it, beyond the grace.
    pub const fn stays(&self) -> bool {
        self.leaves_from().is_none()
    }

    /// From when on it may be pruned, if nothing keeps it.
    pub const fn leaves_from(&self) -> Option<Timestamp> {
        match self {
            Self::Stays(_) => None,
            Self::Leaves { from } => Some(*from),
        }
    }
}

/// The fate of every point, in the order of `points`.
///
/// `in_force` is when the rules came into force: what they do not keep leaves then at the earliest, so that tightened
/// rules act only after the grace. Periods are those of `zone`.
pub fn decide(
    points: &[Point],
    retention: &Retention,
    zone: &TimeZone,
    in_force: Timestamp,
    now: Timestamp,
) -> Vec<Fate> {
    let mut newest_first: Vec<usize> = (0..points.len()).filter(|index| points[*index].created <= now).collect();
    newest_first.sort_by(|one, other| {
        let key = |index: usize| (points[index].created, points[index].id);
        key(*other).cmp(&key(*one))
    });
    let is = |index: usize, standing: Standing| points[index].standing == standing;
    let frozen = newest_first.first().is_some_and(|index| is(*index, Standing::Suspect));
    let sound: Vec<usize> = newest_first.iter().copied().filter(|index| is(*index, Standing::Sound)).collect();
    let dates: Vec<Zoned> = sound.iter().map(|index| points[*index].created.to_zoned(zone.clone())).collect();

    let mut fates = vec![Standings::default(); points.len()];
    let mut rules = 0;
    for rule in Rule::ALL {
        let places = rule.places(retention.keep);
        if places > 0 {
            rules += 1;
            apply(rule, places, &sound, &dates, &mut fates);
        }
    }
    if let Some(newest) = sound.first() {
        fates[*newest].reasons.insert(0, Reason::Newest);
    }
    for index in newest_first.iter().copied().filter(|index| !is(*index, Standing::Sound)) {
        let replaced = sound.iter().rev().find(|other| points[**other].created >= points[index].created);
        match replaced {
            Some(other) => fates[index].left = Some(points[*other].created),
            None => fates[index].reasons.push(Reason::Unreplaced),
        }
    }
    let fate = |(index, Standings { mut reasons, left }): (usize, Standings)| {
        if points[index].created > now {
            reasons.push(Reason::Ahead);
        } else if rules == 0 {
            reasons.push(Reason::NoRules);
        } else if frozen && reasons.is_empty() {
            reasons.push(Reason::Frozen);
        }
        match left {
            Some(left) if reasons.is_empty() => Fate::Leaves { from: later(left.max(in_force), retention.grace) },
            _ => Fate::Stays(reasons),
        }
    };
    fates.into_iter().enumerate().map(fate).collect()
}

/// What is known of one point while the rules are applied one by one.
#[derive(Debug, Clone, Default)]
struct Standings {
    reasons: Vec<Reason>,
    /// When the last of the rules gave it up.
    left: Option<Timestamp>,
}

/// Enters what `rule` keeps, and when it gave up what it does not. `sound` is the newest first.
///
/// A rule gives a snapshot up when a newer one of the same period comes, or when the first one comes of the period that
/// takes its place. It never takes a snapshot back.
fn apply(rule: Rule, places: u32, sound: &[usize], dates: &[Zoned], fates: &mut [Standings]) {
    let places = usize::try_from(places).unwrap_or(usize::MAX);
    // The oldest snapshot of each period, the newest period first.
    let mut begins: Vec<Timestamp> = Vec::new();
    let mut period: Option<Period> = None;
    for (position, index) in sound.iter().enumerate() {
        let own = rule.period(&dates[position]);
        let same = own != Period::Own && period.as_ref() == Some(&own);
        let at = dates[position].timestamp();
        let given_up = if same {
            begins.last_mut().map(|begin| std::mem::replace(begin, at))
        } else {
            begins.push(at);
            period = Some(own);
            begins.len().checked_sub(places + 1).map(|taker| begins[taker])
        };
        let fate = &mut fates[*index];
        match given_up {
            Some(when) => fate.left = fate.left.max(Some(when)),
            None => fate.reasons.push(Reason::Rule { rule, place: u32::try_from(begins.len()).unwrap_or(u32::MAX) }),
        }
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::KeepRules;

    const EPOCH: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn point(number: u64, created: Timestamp, standing: Standing) -> Point {
        Point { id: SnapshotId::from_parts(number, 0), created, standing }
    }

    fn sound(times: &[&str]) -> Vec<Point> {
        (0..).zip(times).map(|(number, time)| point(number, at(time), Standing::Sound)).collect()
    }

    fn rules(keep: KeepRules, grace_hours: u64) -> Retention {
        Retention { keep, grace: Duration::from_hours(grace_hours) }
    }

    fn words(fates: &[Fate]) -> Vec<String> {
        let reason = |reason: &Reason| match reason {
            Reason::Rule { rule, place } => format!("{} {place}", rule.as_str()),
            other => format!("{other:?}").to_lowercase(),
        };
        let word = |fate: &Fate| match fate {
            Fate::Stays(reasons) => reasons.iter().map(reason).collect::<Vec<_>>().join(", "),
            Fate::Leaves { from } => from.to_string(),
        };
        fates.iter().map(word).collect()
    }

    #[test]
    fn each_snapshot_has_its_reasons_or_the_time_from_which_it_may_go() {
        let points = sound(&[
            "2026-11-17T10:00Z",
            "2026-11-20T10:00Z",
            "2026-11-20T22:00Z",
            "2026-11-21T10:00Z",
            "2026-11-22T10:00Z",
        ]);
        let retention = rules(KeepRules { last: 1, daily: 2, ..KeepRules::default() }, 48);
        let fates = decide(&points, &retention, &TimeZone::UTC, EPOCH, at("2026-11-23T00:00Z"));
        assert_eq!(
            words(&fates),
            [
                // Given up by `last` on the 20th at 10:00 and by `daily` on the 21st at 10:00.
                "2026-11-23T10:00:00Z",
                // By both, when the next one of the day came.
                "2026-11-22T22:00:00Z",
                "2026-11-24T10:00:00Z",
                "daily 2",
                "newest, last 1, daily 1",
            ]
        );
        let fates = decide(&points, &retention, &TimeZone::UTC, at("2026-11-23T00:00Z"), at("2026-11-23T00:00Z"));
        assert_eq!(words(&fates)[0], "2026-11-25T00:00:00Z", "rules that begin to apply act after the grace");
    }

    #[test]
    fn days_and_hours_are_those_of_the_wall_clock() {
        let daily = rules(KeepRules { daily: 9, ..KeepRules::default() }, 0);
        let warsaw = TimeZone::get("Europe/Warsaw").unwrap();
        let stay = |points: &[Point], retention: &Retention, zone: &TimeZone| -> usize {
            decide(points, retention, zone, EPOCH, at("2027-01-01T00:00Z")).iter().filter(|fate| fate.stays()).count()
        };
        let around_midnight = sound(&["2026-11-20T22:30Z", "2026-11-20T23:30Z"]);
        assert_eq!((stay(&around_midnight, &daily, &TimeZone::UTC), stay(&around_midnight, &daily, &warsaw)), (1, 2));
        // The hour from 02:00 to 03:00 comes twice, and each is an hour.
        let hourly = rules(KeepRules { hourly: 9, ..KeepRules::default() }, 0);
        assert_eq!(stay(&sound(&["2026-10-25T00:30Z", "2026-10-25T01:30Z"]), &hourly, &warsaw), 2);
        // The year of a week is not the year of its days.
        let weekly = rules(KeepRules { weekly: 9, ..KeepRules::default() }, 0);
        assert_eq!(stay(&sound(&["2025-12-31T12:00Z", "2026-01-02T12:00Z"]), &weekly, &TimeZone::UTC), 1);
    }

    #[test]
    fn what_is_suspect_or_damaged_pushes_nothing_out() {
        let times = [at("2026-11-20T10:00Z"), at("2026-11-21T10:00Z"), at("2026-11-22T10:00Z")];
        let fates = |standings: [Standing; 3]| {
            let points: Vec<_> =
                (0..).zip(times.iter().zip(standings)).map(|(number, (time, how))| point(number, *time, how)).collect();
            let retention = rules(KeepRules { last: 1, ..KeepRules::default() }, 1);
            words(&decide(&points, &retention, &TimeZone::UTC, EPOCH, at("2026-11-23T00:00Z")))
        };
        let (sound, suspect, damaged) = (Standing::Sound, Standing::Suspect, Standing::Damaged);
        assert_eq!(fates([sound, sound, suspect]), ["frozen", "newest, last 1", "unreplaced"]);
        assert_eq!(fates([sound, sound, damaged]), ["2026-11-21T11:00:00Z", "newest, last 1", "unreplaced"]);
        assert_eq!(fates([sound, suspect, sound]), ["2026-11-22T11:00:00Z", "2026-11-22T11:00:00Z", "newest, last 1"]);
        assert_eq!(fates([damaged, damaged, damaged]), ["unreplaced"; 3]);
    }

    #[test]
    fn a_clock_that_was_wrong_pushes_nothing_out() {
        let points = sound(&["2026-11-21T10:00Z", "2036-11-22T10:00Z"]);
        let retention = rules(KeepRules { last: 1, ..KeepRules::default() }, 0);
        let fates = decide(&points, &retention, &TimeZone::UTC, EPOCH, at("2026-11-23T00:00Z"));
        assert_eq!(words(&fates), ["newest, last 1", "ahead"]);
    }

    #[test]
    fn without_rules_everything_stays() {
        let points = sound(&["2026-11-21T10:00Z", "2026-11-22T10:00Z"]);
        let retention = rules(KeepRules::default(), 0);
        let fates = decide(&points, &retention, &TimeZone::UTC, EPOCH, at("2026-11-23T00:00Z"));
        assert_eq!(words(&fates), ["norules", "newest, norules"]);
    }

    prop_compose! {
        fn keep_rules()(
            last in 0u32..4, hourly in 0u32..4, daily in 0u32..4, weekly in 0u32..3, monthly in 0u32..3, yearly in 0u32..2,
        ) -> KeepRules {
            let last = last.max(u32::from(hourly + daily + weekly + monthly + yearly == 0));
            KeepRules { last, hourly, daily, weekly, monthly, yearly }
        }
    }

    fn standing() -> impl Strategy<Value = Standing> {
        prop_oneof![6 => Just(Standing::Sound), 1 => Just(Standing::Suspect), 1 => Just(Standing::Damaged)]
    }

    /// Histories of about three months, with bursts.
    fn histories() -> impl Strategy<Value = Vec<Point>> {
        let gap = prop_oneof![60i64..7200, 3600i64..200_000];
        proptest::collection::vec((gap, standing()), 0..40).prop_map(|steps| {
            let mut time = at("2026-01-01T00:00Z");
            let mut points = Vec::new();
            for (number, (gap, standing)) in (0..).zip(steps) {
                time = time.checked_add(Duration::from_secs(gap.unsigned_abs())).unwrap();
                points.push(point(number, time, standing));
            }
            points
        })
    }

    fn end(points: &[Point]) -> Timestamp {
        points.last().map_or(EPOCH, |point| point.created)
    }

    fn fates(points: &[Point], keep: KeepRules) -> Vec<Fate> {
        decide(points, &rules(keep, 0), &TimeZone::UTC, EPOCH, end(points))
    }

    proptest! {
        #[test]
        fn a_rule_keeps_no_more_than_its_number_and_the_newest_stays(points in histories(), keep in keep_rules()) {
            let fates = fates(&points, keep);
            for rule in Rule::ALL {
                let kept = |fate: &Fate| matches!(fate, Fate::Stays(reasons)
                    if reasons.iter().any(|reason| matches!(reason, Reason::Rule { rule: of, .. } if *of == rule)));
                let number = fates.iter().filter(|fate| kept(fate)).count();
                prop_assert!(number <= rule.places(keep) as usize);
            }
            let newest = points.iter().rposition(|point| point.standing == Standing::Sound);
            prop_assert!(newest.is_none_or(|newest| fates[newest].stays()));
            prop_assert!(fates.last().is_none_or(Fate::stays));
        }

        #[test]
        fn the_order_of_the_list_means_nothing(points in histories(), keep in keep_rules()) {
            let mut reversed: Vec<_> = points.clone();
            reversed.reverse();
            let mut other = decide(&reversed, &rules(keep, 0), &TimeZone::UTC, EPOCH, end(&points));
            other.reverse();
            prop_assert_eq!(fates(&points, keep), other);
        }

        #[test]
        fn what_stays_stays_when_the_others_are_gone(points in histories(), keep in keep_rules()) {
            let fates = fates(&points, keep);
            let left: Vec<Point> =
                points.iter().zip(&fates).filter(|(_, fate)| fate.stays()).map(|(point, _)| *point).collect();
            prop_assert!(decide(&left, &rules(keep, 0), &TimeZone::UTC, EPOCH, end(&points)).iter().all(Fate::stays));
        }

        #[test]
        fn rules_that_keep_more_give_up_nothing_that_others_keep(
            points in histories(), one in keep_rules(), more in keep_rules(),
        ) {
            let wider = KeepRules {
                last: one.last + more.last, hourly: one.hourly + more.hourly, daily: one.daily + more.daily,
                weekly: one.weekly + more.weekly, monthly: one.monthly + more.monthly, yearly: one.yearly + more.yearly,
            };
            for (narrow, wide) in fates(&points, one).iter().zip(fates(&points, wider)) {
                prop_assert!(!narrow.stays() || wide.stays());
            }
        }

        /// What leaves was kept until the moment that is told, and never again: replayed snapshot by snapshot.
        #[test]
        fn the_moment_of_leaving_is_the_one_of_a_replay(points in histories(), keep in keep_rules()) {
            let sound: Vec<Point> = points.into_iter().filter(|point| point.standing == Standing::Sound).collect();
            for (index, fate) in fates(&sound, keep).into_iter().enumerate() {
                for length in index + 1..=sound.len() {
                    let then = &fates(&sound[..length], keep)[index];
                    let gone = match &fate {
                        Fate::Stays(_) => false,
                        Fate::Leaves { from } => end(&sound[..length]) >= *from,
                    };
                    prop_assert_eq!(then.stays(), !gone, "{} of {}", index, length);
                }
            }
        }
    }
}
