//! What to do next. Pure.

use super::holding::Holding;
use crate::bitbucket::{AccessToken, TokenId};

/// What is to become of the old token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It is revoked when the new one is in force.
    WhenApplied,
    /// It is revoked as soon as the new one stands in the files.
    Now,
    /// It stays.
    Keep,
}

/// What a decision follows from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation<'a> {
    /// The token that goes.
    pub(super) old: &'a TokenId,
    /// The token that comes, once its secret is safe.
    pub(super) made: Option<&'a TokenId>,
    /// The name that it was or will be made with.
    pub(super) name: &'a str,
    /// What the server lists.
    pub(super) tokens: &'a [AccessToken],
    /// What the files hold.
    pub(super) file: Holding,
    /// What is in force, if something is.
    pub(super) applied: Option<Holding>,
    /// What was asked for.
    pub(super) wish: Wish,
}

/// The next step of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Revoke tokens whose secret nobody has: an attempt was interrupted before it was written down.
    Discard(Vec<TokenId>),
    /// Have the server make the new token.
    Make,
    /// Prove the new token and put it into the files.
    Install,
    /// Nothing, until somebody has applied the files.
    Wait(Waiting),
    /// Revoke the old token, and what else is left.
    Revoke(Vec<TokenId>),
    /// Forget the rotation.
    Done(Finish),
    /// Nothing, until somebody has decided.
    Stop(Stuck),
}

/// Why the old token is not revoked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing is applied here: others may use it.
    NothingApplied,
    /// What is in force uses it.
    OldInForce,
    /// What is in force cannot be opened.
    Unreadable,
    /// What is in force does not use the new one.
    NewNotInForce,
}

/// How a rotation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The old token is revoked.
    Revoked,
    /// The old token stays, as was asked for.
    Kept,
    /// The files have another value, and nothing was made.
    Superseded,
    /// The new token was revoked by somebody before anything used it.
    Vanished,
}

/// Why a rotation cannot go on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    /// The files hold the new token, and the server does not know it any more.
    NewIsGone,
    /// The files hold neither of the two.
    Superseded,
    /// The files hold a value of the account that cannot be opened.
    Unreadable,
}

/// Decides what to do next.
pub(super) fn next(now: &Situation<'_>) -> Step {
    let listed = |id: &TokenId| now.tokens.iter().any(|token| token.id == *id);
    let of_its_name = now.tokens.iter().filter(|token| token.name == now.name && Some(&token.id) != now.made);
    let left: Vec<TokenId> = of_its_name.map(|token| token.id.clone()).filter(|id| id != now.old).collect();
    let Some(made) = now.made else {
        return match now.file {
            _ if !left.is_empty() => Step::Discard(left),
            Holding::Old => Step::Make,
            Holding::New | Holding::Neither => Step::Done(Finish::Superseded),
            Holding::Unknown => Step::Stop(Stuck::Unreadable),
        };
    };
    match now.file {
        Holding::Old if !listed(made) => return Step::Done(Finish::Vanished),
        Holding::Old => return Step::Install,
        Holding::New if !listed(made) && now.wish != Wish::Keep => return Step::Stop(Stuck::NewIsGone),
        Holding::Unknown => return Step::Stop(Stuck::Unreadable),
        Holding::New | Holding::Neither => {}
    }
    if now.wish == Wish::Keep {
        return if left.is_empty() { Step::Done(Finish::Kept) } else { Step::Discard(left) };
    }
    if !listed(now.old) {
        return if left.is_empty() { Step::Done(Finish::Revoked) } else { Step::Discard(left) };
    }
    let revoke = || Step::Revoke(left.iter().chain([now.old]).cloned().collect());
    match (now.wish, now.file, now.applied) {
        (Wish::Now, _, _) => revoke(),
        (_, Holding::Neither, _) => Step::Stop(Stuck::Superseded),
        (_, _, None) => Step::Wait(Waiting::NothingApplied),
        (_, _, Some(Holding::Old)) => Step::Wait(Waiting::OldInForce),
        (_, _, Some(Holding::Unknown)) => Step::Wait(Waiting::Unreadable),
        (_, _, Some(Holding::Neither)) => Step::Wait(Waiting::NewNotInForce),
        (_, _, Some(Holding::New)) => revoke(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// A server, a file, a state and a journal, in which every step can be interrupted.
    #[derive(Debug, Clone)]
    struct World {
        /// Names by id. The old token is 1.
        server: BTreeMap<u32, &'static str>,
        minted: u32,
        /// The made token, once it is written down.
        made: Option<u32>,
        journal: bool,
        file: u32,
        applied: Option<u32>,
    }

    /// What happens between two steps, or instead of the end of one.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        Advance,
        /// The process dies after the server has done its part and before anything is written down.
        Die,
        Apply,
        /// Somebody takes the file back.
        Revert,
    }

    fn id(number: u32) -> TokenId {
        number.to_string().parse().unwrap()
    }

    impl World {
        fn new(applied: bool) -> Self {
            let server = [(1, "old")].into();
            Self { server, minted: 1, made: None, journal: true, file: 1, applied: applied.then_some(1) }
        }

        fn step(&self, wish: Wish) -> Step {
            let tokens: Vec<AccessToken> = self
                .server
                .iter()
                .map(|(number, name)| AccessToken {
                    id: id(*number),
                    name: (*name).to_owned(),
                    permissions: BTreeSet::new(),
                    created: None,
                    expiry_days: None,
                    owner: None,
                })
                .collect();
            let holds = |value: u32| match value {
                1 => Holding::Old,
                value if Some(value) == self.made => Holding::New,
                _ => Holding::Neither,
            };
            let made = self.made.map(id);
            next(&Situation {
                old: &id(1),
                made: made.as_ref(),
                name: "new",
                tokens: &tokens,
                file: holds(self.file),
                applied: self.applied.map(holds),
                wish,
            })
        }

        /// Does one step; false if there is nothing to do.
        fn advance(&mut self, wish: Wish, dies: bool) -> bool {
            match self.step(wish) {
                Step::Discard(ids) | Step::Revoke(ids) => {
                    let most = if dies { 1 } else { ids.len() };
                    for token in ids.iter().take(most) {
                        self.server.remove(&token.as_str().parse().unwrap());
                    }
                    true
                }
                Step::Make => {
                    self.minted += 1;
                    self.server.insert(self.minted, "new");
                    self.made = (!dies).then_some(self.minted);
                    true
                }
                Step::Install => {
                    if !dies {
                        self.file = self.made.unwrap();
                    }
                    true
                }
                Step::Done(_) => {
                    self.journal = dies;
                    false
                }
                Step::Wait(_) | Step::Stop(_) => false,
            }
        }
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let one = prop_oneof![
            4 => Just(Event::Advance), 2 => Just(Event::Die), 1 => Just(Event::Apply), 1 => Just(Event::Revert)
        ];
        proptest::collection::vec(one, 0..40)
    }

    proptest! {
        /// Whatever is interrupted: what the file says and what is in force logs in, and no token is left behind whose
        /// secret nobody has.
        #[test]
        fn nothing_in_use_is_revoked_and_nothing_is_left_behind(events in events(), applied in any::<bool>()) {
            let mut world = World::new(applied);
            for event in events {
                if !world.journal {
                    break;
                }
                match event {
                    Event::Advance => drop(world.advance(Wish::WhenApplied, false)),
                    Event::Die => drop(world.advance(Wish::WhenApplied, true)),
                    Event::Apply => world.applied = Some(world.file),
                    Event::Revert if world.server.contains_key(&1) => world.file = 1,
                    Event::Revert => {}
                }
                prop_assert!(world.server.contains_key(&world.file), "{world:?}");
                prop_assert!(world.applied.is_none_or(|token| world.server.contains_key(&token)), "{world:?}");
            }
            let mut steps = 0;
            while world.journal && world.advance(Wish::WhenApplied, false) {
                steps += 1;
                prop_assert!(steps < 20, "it ends: {world:?}");
            }
            world.applied = Some(world.file);
            while world.journal && world.advance(Wish::WhenApplied, false) {}
            prop_assert_eq!(world.journal, false);
            prop_assert_eq!(world.server.len(), 1, "{:?}", world);
            prop_assert!(world.server.contains_key(&world.file));
        }
    }

    #[test]
    fn the_old_token_waits_for_what_is_in_force() {
        let mut world = World::new(true);
        while world.advance(Wish::WhenApplied, false) {}
        assert_eq!(world.step(Wish::WhenApplied), Step::Wait(Waiting::OldInForce));
        assert_eq!(world.step(Wish::Now), Step::Revoke(vec![id(1)]));
        assert_eq!(world.step(Wish::Keep), Step::Done(Finish::Kept));
        let nowhere = World { applied: None, ..world.clone() };
        assert_eq!(nowhere.step(Wish::WhenApplied), Step::Wait(Waiting::NothingApplied));
        let elsewhere = World { applied: Some(9), ..world.clone() };
        assert_eq!(elsewhere.step(Wish::WhenApplied), Step::Wait(Waiting::NewNotInForce));
        world.applied = Some(2);
        assert_eq!(world.step(Wish::WhenApplied), Step::Revoke(vec![id(1)]));
        world.server.remove(&1);
        assert_eq!(world.step(Wish::WhenApplied), Step::Done(Finish::Revoked));
    }

    #[test]
    fn a_token_whose_secret_was_lost_is_revoked_before_another_is_made() {
        let mut world = World::new(true);
        assert!(world.advance(Wish::WhenApplied, true));
        assert_eq!((world.made, world.step(Wish::WhenApplied)), (None, Step::Discard(vec![id(2)])));
        assert!(world.advance(Wish::WhenApplied, false));
        assert_eq!(world.step(Wish::WhenApplied), Step::Make);
    }

    #[test]
    fn what_people_do_meanwhile_is_respected() {
        let mut world = World::new(true);
        world.file = 9;
        assert_eq!(world.step(Wish::WhenApplied), Step::Done(Finish::Superseded));
        world.made = Some(2);
        world.server.insert(2, "new");
        assert_eq!(world.step(Wish::WhenApplied), Step::Stop(Stuck::Superseded));
        world.file = 2;
        world.server.remove(&2);
        assert_eq!(world.step(Wish::WhenApplied), Step::Stop(Stuck::NewIsGone));
        assert_eq!(world.step(Wish::Now), Step::Stop(Stuck::NewIsGone), "the last token that works is not revoked");
        world.file = 1;
        assert_eq!(world.step(Wish::WhenApplied), Step::Done(Finish::Vanished));
    }
}
