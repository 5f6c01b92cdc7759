//! When to look at files that others write, and when what was seen may be believed.

use std::time::{Duration, Instant};

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// After a hint, until nothing more is hinted at for so long.
    pub quiet: Duration,
    /// However many hints come, it is looked after so long.
    pub longest: Duration,
    /// Between the first and the last of the looks that must find the same.
    pub settle: Duration,
    /// What is missing or gone may come, and what cannot be parsed may heal, for so long.
    pub patience: Duration,
    /// What never stands still for so long is told.
    pub restless: Duration,
    /// Between two looks that nothing hinted at.
    pub poll: Duration,
    /// Files whose size and times did not change are read again after so long.
    pub reread: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(50),
            longest: Duration::from_secs(2),
            settle: Duration::from_millis(100),
            patience: Duration::from_secs(2),
            restless: Duration::from_mins(1),
            poll: Duration::from_secs(10),
            reread: Duration::from_mins(5),
        }
    }
}

/// What one look found. `K` tells contents apart, `B` kinds of trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<K, B> {
    /// All files, and they can be parsed.
    Whole(K),
    /// The same, but something that was named in what was given last is gone: the rest may not be written yet.
    Fewer(K),
    /// All files, but one cannot be parsed: it may be half-written.
    Malformed(K),
    /// Something is missing, empty or cannot be read.
    Broken(B),
}

/// What to tell after a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act<B> {
    /// What was seen is new and stood still: give it out.
    Give,
    /// After trouble that was told, it is again what was given last.
    Back,
    /// It is broken, since then.
    Broken(B, Instant),
    /// It does not stand still, since then.
    Restless(Instant),
}

/// Decides when to look next, and what follows from what was seen.
#[derive(Debug)]
pub struct Settling<K, B> {
    pace: Pace,
    /// What was given out last.
    given: Option<K>,
    /// What may be given out, and when it was seen first.
    candidate: Option<(K, Instant)>,
    /// What is broken, and since when it is that.
    broken: Option<(B, Instant)>,
    /// Since when something is broken.
    broken_since: Option<Instant>,
    /// The trouble that was told last, until it is over.
    told: Option<B>,
    /// Since when it is something else than was given, but nothing that can be.
    unsettled_since: Option<Instant>,
    restless_told: bool,
    /// The first hint that no look has answered.
    hinted: Option<Instant>,
    due: Instant,
}

impl<K: Clone + PartialEq, B: Clone + PartialEq> Settling<K, B> {
    /// The first look is due at once.
    pub fn new(pace: Pace, now: Instant) -> Self {
        Self {
            pace,
            given: None,
            candidate: None,
            broken: None,
            broken_since: None,
            told: None,
            unsettled_since: None,
            restless_told: false,
            hinted: None,
            due: now,
        }
    }

    /// When to look next.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Whether the last look found what was given out, and nothing has hinted at anything since.
    pub const fn is_at_rest(&self) -> bool {
        self.given.is_some() && self.unsettled_since.is_none() && self.told.is_none() && self.hinted.is_none()
    }

    /// Something may have changed.
    pub fn hint(&mut self, now: Instant) {
        let first = *self.hinted.get_or_insert(now);
        self.due = (now + self.pace.quiet).min(first + self.pace.longest);
    }

    /// Somebody asks what it says: that is given or told once more, whatever was before.
    pub fn anew(&mut self, now: Instant) {
        (self.given, self.told, self.restless_told) = (None, None, false);
        self.hint(now);
    }

    /// Nothing moved since the last look, and nothing was to be expected.
    pub fn unmoved(&mut self, now: Instant) {
        self.due = now + self.pace.poll;
    }

    /// A look found this.
    pub fn saw(&mut self, look: Look<K, B>, now: Instant) -> Option<Act<B>> {
        self.hinted = None;
        self.due = now + self.pace.poll;
        match look {
            Look::Whole(seen) | Look::Fewer(seen) | Look::Malformed(seen) if self.given.as_ref() == Some(&seen) => {
                let told = self.told.is_some() || self.restless_told;
                self.at_rest();
                told.then_some(Act::Back)
            }
            Look::Whole(seen) => self.other(seen, self.pace.settle, now),
            Look::Fewer(seen) | Look::Malformed(seen) => {
                self.other(seen, self.pace.settle.max(self.pace.patience), now)
            }
            Look::Broken(why) => self.broken(why, now),
        }
    }

    fn other(&mut self, seen: K, stand: Duration, now: Instant) -> Option<Act<B>> {
        (self.broken, self.broken_since) = (None, None);
        match self.candidate.take() {
            Some((candidate, since)) if candidate == seen => {
                if now.saturating_duration_since(since) >= stand {
                    self.given = Some(seen);
                    self.at_rest();
                    return Some(Act::Give);
                }
                self.candidate = Some((seen, since));
                self.due = since + stand;
            }
            Some(_) | None => {
                self.candidate = Some((seen, now));
                self.due = now + stand;
            }
        }
        self.unsettled(now)
    }

    fn broken(&mut self, why: B, now: Instant) -> Option<Act<B>> {
        self.candidate = None;
        self.unsettled_since.get_or_insert(now);
        let since = *self.broken_since.get_or_insert(now);
        if self.told.as_ref() == Some(&why) {
            self.broken = None;
            return None;
        }
        let stood = match self.broken.take() {
            Some((before, stood)) if before == why => stood,
            Some(_) | None => now,
        };
        if now.saturating_duration_since(stood) < self.pace.patience {
            self.due = (now + self.pace.settle).min(stood + self.pace.patience);
            self.broken = Some((why, stood));
            return None;
        }
        self.told = Some(why.clone());
        Some(Act::Broken(why, since))
    }

    fn unsettled(&mut self, now: Instant) -> Option<Act<B>> {
        let since = *self.unsettled_since.get_or_insert(now);
        let restless = now.saturating_duration_since(since) >= self.pace.restless;
        // Trouble that was told stands for this one, too.
        if !restless || self.restless_told || self.told.is_some() {
            return None;
        }
        self.restless_told = true;
        Some(Act::Restless(since))
    }

    fn at_rest(&mut self) {
        self.candidate = None;
        (self.broken, self.broken_since) = (None, None);
        self.told = None;
        self.unsettled_since = None;
        self.restless_told = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Clock, SystemClock};

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Looks whenever a look is due, up to `end`, at a world that is `world(time)`; gives what was told and when.
    fn live(
        settling: &mut Settling<u8, u8>,
        from: Instant,
        end: Instant,
        world: impl Fn(Duration) -> Look<u8, u8>,
    ) -> Vec<(Duration, Act<u8>)> {
        let mut told = Vec::new();
        while settling.due() <= end {
            let now = settling.due().max(from);
            told.extend(settling.saw(world(now - from), now).map(|act| (now - from, act)));
            assert!(settling.due() > now, "looking twice at once");
        }
        told
    }

    fn start() -> (Settling<u8, u8>, Instant) {
        let now = SystemClock.monotonic();
        (Settling::new(Pace::default(), now), now)
    }

    #[test]
    fn what_stands_still_is_given_once() {
        let (mut settling, now) = start();
        let told = live(&mut settling, now, now + ms(100_000), |_| Look::Whole(1));
        assert_eq!(told, [(ms(100), Act::Give)]);
        assert!(settling.is_at_rest());
        settling.hint(now + ms(200_000));
        assert_eq!(settling.due(), now + ms(200_050));
        let told = live(&mut settling, now, now + ms(300_000), |_| Look::Whole(2));
        assert_eq!(told, [(ms(200_150), Act::Give)], "well under half a second from the hint to the news");
    }

    #[test]
    fn what_is_missing_is_told_once_and_never_given() {
        let (mut settling, now) = start();
        let world = |at| if at < ms(60_000) { Look::Broken(9) } else { Look::Whole(1) };
        let told = live(&mut settling, now, now + ms(100_000), world);
        assert_eq!(told[0], (ms(2000), Act::Broken(9, now)));
        assert_eq!(told[1].1, Act::Give);
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn whoever_asks_is_answered_once() {
        let (mut settling, now) = start();
        live(&mut settling, now, now + ms(1000), |_| Look::Whole(1));
        settling.anew(now + ms(5000));
        assert_eq!(live(&mut settling, now, now + ms(100_000), |_| Look::Whole(1)), [(ms(5150), Act::Give)]);
        live(&mut settling, now, now + ms(130_000), |_| Look::Broken(9));
        settling.anew(now + ms(140_000));
        let told = live(&mut settling, now, now + ms(200_000), |_| Look::Broken(9));
        assert!(matches!(told[..], [(_, Act::Broken(9, _))]), "{told:?}");
        assert_eq!(live(&mut settling, now, now + ms(230_000), |_| Look::Whole(1)).len(), 1);
    }

    #[test]
    fn other_trouble_is_told_when_it_stays() {
        let (mut settling, now) = start();
        let between = ms(5000)..ms(20_500);
        let world = |at| Look::Broken(if between.contains(&at) { 2 } else { 1 });
        let told = live(&mut settling, now, now + ms(40_000), world);
        assert_eq!(
            told,
            [(ms(2000), Act::Broken(1, now)), (ms(14_000), Act::Broken(2, now)), (ms(26_000), Act::Broken(1, now))]
        );
        settling.hint(now + ms(50_000));
        let world = |at: Duration| if at < ms(51_000) { Look::Broken(2) } else { Look::Broken(1) };
        assert_eq!(live(&mut settling, now, now + ms(70_000), world), []);
    }

    #[test]
    fn a_short_absence_is_not_told() {
        let (mut settling, now) = start();
        live(&mut settling, now, now + ms(1000), |_| Look::Whole(1));
        settling.hint(now + ms(5000));
        let world = |at| if at < ms(6000) { Look::Broken(9) } else { Look::Whole(1) };
        assert_eq!(live(&mut settling, now, now + ms(100_000), world), []);
        settling.hint(now + ms(200_000));
        let world = |at| if at < ms(210_000) { Look::Broken(9) } else { Look::Whole(1) };
        let told = live(&mut settling, now, now + ms(300_000), world);
        assert_eq!(
            told.iter().map(|(_, act)| act.clone()).collect::<Vec<_>>(),
            [Act::Broken(9, now + ms(200_050)), Act::Back]
        );
    }

    #[test]
    fn what_cannot_be_parsed_gets_time_to_heal() {
        let (mut settling, now) = start();
        let world = |at| if at < ms(1500) { Look::Malformed(1) } else { Look::Whole(2) };
        assert_eq!(live(&mut settling, now, now + ms(5000), world), [(ms(2100), Act::Give)]);
        settling.hint(now + ms(20_000));
        let told = live(&mut settling, now, now + ms(30_000), |_| Look::Malformed(3));
        assert_eq!(told, [(ms(22_050), Act::Give)], "a person must see what is wrong with it");
    }

    #[test]
    fn what_may_lack_its_end_gets_time_to_come() {
        let (mut settling, now) = start();
        live(&mut settling, now, now + ms(1000), |_| Look::Whole(1));
        settling.hint(now + ms(5000));
        // A writer that rests for longer than two looks are apart, in the middle and not in a node.
        let world = |at| if at < ms(5550) { Look::Fewer(2) } else { Look::Whole(3) };
        assert_eq!(live(&mut settling, now, now + ms(5500), world), []);
        settling.hint(now + ms(5550));
        assert_eq!(live(&mut settling, now, now + ms(15_000), world), [(ms(5700), Act::Give)]);
        settling.hint(now + ms(20_000));
        let told = live(&mut settling, now, now + ms(30_000), |_| Look::Fewer(4));
        assert_eq!(told, [(ms(22_050), Act::Give)], "whoever takes something out waits two seconds");
    }

    #[test]
    fn what_never_stands_still_is_told_once() {
        let (mut settling, now) = start();
        let world = |at: Duration| Look::Whole(u8::try_from(at.as_millis() / 90 % 250).unwrap());
        let told = live(&mut settling, now, now + ms(200_000), world);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(matches!(told[0].1, Act::Restless(since) if since == now));
    }

    #[test]
    fn endless_hints_do_not_put_off_the_look() {
        let (mut settling, now) = start();
        live(&mut settling, now, now + ms(1000), |_| Look::Whole(1));
        for step in 0..1000 {
            settling.hint(now + ms(5000 + step * 10));
            assert!(settling.due() <= now + ms(7000));
        }
    }

    fn look() -> impl Strategy<Value = Look<u8, u8>> {
        prop_oneof![
            (0..3u8).prop_map(Look::Whole),
            (3..5u8).prop_map(Look::Malformed),
            (5..7u8).prop_map(Look::Fewer),
            (0..2u8).prop_map(Look::Broken)
        ]
    }

    proptest! {
        #[test]
        fn only_what_two_looks_found_is_given(
            steps in prop::collection::vec((look(), 0u64..400, any::<bool>()), 1..80)
        ) {
            let (mut settling, mut now) = start();
            let (mut run, mut given): (Option<(u8, Instant)>, Option<u8>) = (None, None);
            for (look, wait, hinted) in steps {
                now += ms(wait);
                if hinted {
                    settling.hint(now);
                }
                run = match (&look, run) {
                    (Look::Broken(_), _) => None,
                    (Look::Whole(seen) | Look::Fewer(seen) | Look::Malformed(seen), Some((before, since)))
                        if before == *seen =>
                    {
                        Some((before, since))
                    }
                    (Look::Whole(seen) | Look::Fewer(seen) | Look::Malformed(seen), _) => Some((*seen, now)),
                };
                let act = settling.saw(look, now);
                if act == Some(Act::Give) {
                    let (seen, since) = run.unwrap();
                    prop_assert!(now - since >= ms(100) && given != Some(seen));
                    given = Some(seen);
                }
                if act == Some(Act::Back) {
                    prop_assert_eq!(run.map(|(seen, _)| seen), given);
                }
                prop_assert!(settling.due() > now && settling.due() <= now + Pace::default().poll);
            }
            // Whatever happened before: a world that stands still is given, and then all is quiet.
            settling.hint(now);
            let told = live(&mut settling, now, now + ms(100_000), |_| Look::Whole(200));
            prop_assert_eq!(told.len(), 1);
            prop_assert!(told[0].0 <= ms(200) && told[0].1 == Act::Give && settling.is_at_rest());
        }
    }
}
