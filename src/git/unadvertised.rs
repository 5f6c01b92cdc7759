//! Objects that no advertised reference names, asked for by their ids. Pure.
//!
//! Bitbucket hides the commits of closed pull requests. A server of protocol v2 sends any object that it has; one of v0
//! or v1 only if it says so. What it has lost since, or will not send, it refuses by failing the whole fetch: so such
//! objects are asked for apart from everything else and a few at a time, and a refusal is told and harms nothing.

use std::collections::{BTreeMap, VecDeque};

use super::capabilities::{Capability, Protocol, ServerFacts};
use crate::model::ObjectId;

/// How many are asked for at once.
pub const AT_ONCE: usize = 50;

/// So many refusals mean that asking on is no use.
const MOST_REFUSALS: u32 = 200;

/// What is still to be asked for, and what was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unadvertised {
    batches: VecDeque<Vec<ObjectId>>,
    refused: BTreeMap<ObjectId, String>,
    refusals: u32,
}

impl Unadvertised {
    /// Before the first question. A server that sends no such objects is not asked: all of them are refused.
    pub fn new(wanted: impl IntoIterator<Item = ObjectId>, facts: &ServerFacts) -> Self {
        let mut wanted: Vec<ObjectId> = wanted.into_iter().collect();
        wanted.sort_unstable();
        wanted.dedup();
        if !sends_any(facts) {
            let why =
                format!("the server speaks git protocol {}, and sends what it advertises", facts.protocol.as_str());
            return Self { refused: wanted.into_iter().map(|oid| (oid, why.clone())).collect(), ..Self::default() };
        }
        Self { batches: wanted.chunks(AT_ONCE).map(<[ObjectId]>::to_vec).collect(), ..Self::default() }
    }

    /// What to ask for next; nothing, if everything was asked for.
    pub fn next(&self) -> Option<&[ObjectId]> {
        self.batches.front().map(Vec::as_slice)
    }

    /// The server has sent what was asked for.
    pub fn sent(&mut self) {
        self.batches.pop_front();
    }

    /// The server's git has refused what was asked for, in these words. If they name an object, that one is refused and
    /// the others are asked for without it; else each half is asked for by itself.
    pub fn refuse(&mut self, words: &str) {
        let Some(mut batch) = self.batches.pop_front() else { return };
        self.refusals += 1;
        let named = batch.iter().position(|oid| words.contains(&oid.to_string()));
        if let Some(place) = named.or((batch.len() == 1).then_some(0)) {
            self.refused.insert(batch.remove(place), words.to_owned());
        } else if self.refusals < MOST_REFUSALS {
            self.batches.push_front(batch.split_off(batch.len() / 2));
        }
        if !batch.is_empty() {
            self.batches.push_front(batch);
        }
        if self.refusals >= MOST_REFUSALS {
            let why = || format!("not asked for by itself: the server has refused {MOST_REFUSALS} times");
            self.refused.extend(self.batches.drain(..).flatten().map(|oid| (oid, why())));
        }
    }

    /// What was refused, with the words of the server or why it was not asked.
    pub fn refused(&self) -> &BTreeMap<ObjectId, String> {
        &self.refused
    }
}

/// Whether the server may send an object that it does not advertise.
fn sends_any(facts: &ServerFacts) -> bool {
    match facts.protocol {
        Protocol::V2 => true,
        Protocol::V0 | Protocol::V1 => {
            facts.offers(Capability::AllowTipSha1InWant) || facts.offers(Capability::AllowReachableSha1InWant)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn facts(protocol: Protocol, capabilities: &[Capability]) -> ServerFacts {
        ServerFacts { protocol, agent: None, capabilities: capabilities.iter().copied().collect() }
    }

    fn oid(number: u16) -> ObjectId {
        let mut bytes = [0; 20];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        ObjectId::Sha1(bytes)
    }

    /// Asks a server that has lost these, and says which or only that. Gives what it sent, and how often it was asked.
    fn ask(unadvertised: &mut Unadvertised, lost: &BTreeSet<ObjectId>, names: bool) -> (Vec<ObjectId>, usize) {
        let (mut sent, mut asked) = (Vec::new(), 0);
        while let Some(batch) = unadvertised.next() {
            asked += 1;
            assert!(!batch.is_empty() && batch.len() <= AT_ONCE);
            match batch.iter().find(|oid| lost.contains(*oid)) {
                None => {
                    sent.extend_from_slice(batch);
                    unadvertised.sent();
                }
                Some(oid) if names => unadvertised.refuse(&format!("upload-pack: not our ref {oid}")),
                Some(_) => unadvertised.refuse("access denied"),
            }
        }
        (sent, asked)
    }

    proptest! {
        #[test]
        fn quirk_17_all_that_the_server_has_is_sent_and_all_that_it_has_not_is_told(
            count in 0u16..180, lost in prop::collection::btree_set(0u16..180, 0..12), names: bool,
        ) {
            let lost: BTreeSet<ObjectId> = lost.into_iter().filter(|number| *number < count).map(oid).collect();
            let wanted: BTreeSet<ObjectId> = (0..count).map(oid).collect();
            let mut unadvertised = Unadvertised::new(wanted.iter().copied(), &facts(Protocol::V2, &[]));
            let (mut sent, asked) = ask(&mut unadvertised, &lost, names);
            sent.sort_unstable();
            let refused: BTreeSet<ObjectId> = unadvertised.refused().keys().copied().collect();
            prop_assert_eq!(&refused, &lost);
            prop_assert_eq!(sent, wanted.difference(&lost).copied().collect::<Vec<_>>());
            let bound = if names { 4 + lost.len() } else { 4 + lost.len() * 12 };
            prop_assert!(asked <= bound, "{} questions for {} lost", asked, lost.len());
        }
    }

    #[test]
    fn a_server_that_refuses_everything_is_given_up() {
        let mut unadvertised = Unadvertised::new((0..5000).map(oid), &facts(Protocol::V2, &[]));
        let all: BTreeSet<ObjectId> = (0..5000).map(oid).collect();
        let (sent, asked) = ask(&mut unadvertised, &all, false);
        assert_eq!((sent.len(), asked, unadvertised.refused().len()), (0, 200, 5000));
    }

    #[test]
    fn quirk_17_a_server_of_v0_is_asked_only_if_it_says_that_it_sends_them() {
        let next = |capabilities: &[Capability]| {
            let unadvertised = Unadvertised::new([oid(2), oid(1), oid(2)], &facts(Protocol::V0, capabilities));
            (unadvertised.next().map(<[ObjectId]>::len), unadvertised.refused().len())
        };
        assert_eq!(next(&[Capability::SideBand64k]), (None, 2));
        assert_eq!(next(&[Capability::AllowReachableSha1InWant]), (Some(2), 0));
        assert_eq!(next(&[Capability::AllowTipSha1InWant]), (Some(2), 0));
    }
}
