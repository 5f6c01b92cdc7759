//! Which task begins next.
//!
//! Tasks of one declared project wait for the same accounts and make a group. A server is worth so many tasks under
//! way; a throttled one is not under way, so that others go on which could: of other servers, or with other accounts.
//! No more than that number of each group are throttled at a time: those behind them would only wait as well.
//!
//! What waits is in the state, where several processes claim from it. What was claimed here and has not begun is claimed
//! for few tasks at a time if there are other workers: they would stand idle while it waits.

use std::collections::VecDeque;

use tokio_util::sync::CancellationToken;

use super::chain::Chain;
use super::task::Task;
use crate::model::{ProjectSelector, Uid};
use crate::state::queue::{self, Claim};

/// Tasks that are claimed at once where nobody else wants them.
const ALONE: usize = 256;

/// A task that is this worker's.
#[derive(Clone)]
pub(super) struct Held {
    /// The task.
    pub(super) task: Task,
    /// The right to do it.
    pub(super) claim: Claim,
    /// Cancelled when that is lost.
    pub(super) lost: CancellationToken,
}

/// A task with what the destinations have of its repository, if that was looked up.
pub(super) type Ready = (Held, Option<Vec<Chain>>);

/// All tasks that did not begin, and how many of the others are under way.
#[derive(Default)]
pub(super) struct Queue {
    groups: Vec<Group>,
}

struct Group {
    project: ProjectSelector,
    server: Uid,
    /// How many tasks its server is worth.
    worth: usize,
    /// Tasks in the state that nobody has claimed, as far as that is known here.
    waiting: usize,
    claimed: VecDeque<Held>,
    ready: VecDeque<Ready>,
    under_way: usize,
}

impl Queue {
    /// Learns what waits in the state. `worth` tells how many tasks a server is worth; what is on another server is not
    /// for this worker.
    pub(super) fn learn(&mut self, waiting: Vec<queue::Group>, worth: impl Fn(Uid) -> Option<usize>) {
        self.groups.iter_mut().for_each(|group| group.waiting = 0);
        for queue::Group { server, project, tasks } in waiting {
            let tasks = usize::try_from(tasks).unwrap_or(usize::MAX);
            let known = self.groups.iter_mut().find(|group| group.project == project && group.server == server);
            if let Some(group) = known {
                group.waiting = tasks;
            } else if let Some(worth) = worth(server) {
                let (claimed, ready) = (VecDeque::new(), VecDeque::new());
                let worth = worth.max(1);
                self.groups.push(Group { project, server, worth, waiting: tasks, claimed, ready, under_way: 0 });
            }
        }
    }

    /// The group whose next task may begin. `parked` tells how many of a project are throttled.
    pub(super) fn next(&self, parked: impl Fn(&ProjectSelector) -> usize) -> Option<usize> {
        let states = self.groups.iter().map(|group| State {
            server: group.server,
            worth: group.worth,
            left: group.waiting.saturating_add(group.claimed.len() + group.ready.len()),
            under_way: group.under_way,
            parked: parked(&group.project).min(group.under_way),
        });
        next_of(&states.collect::<Vec<_>>())
    }

    /// How many tasks of which project to claim before the group's next one can begin, if none is at hand.
    pub(super) fn lack(&self, group: usize, accompanied: bool) -> Option<(ProjectSelector, usize)> {
        let Group { project, waiting, claimed, ready, worth, .. } = &self.groups[group];
        let at_hand = !claimed.is_empty() || !ready.is_empty();
        (!at_hand && *waiting > 0).then(|| (project.clone(), portion(*waiting, *worth, accompanied)))
    }

    /// Takes what was claimed, of so many that were asked for.
    pub(super) fn claimed(&mut self, group: usize, asked: usize, tasks: Vec<Held>) {
        let group = &mut self.groups[group];
        // Where there is less than was known somebody else has it, or holds the repository for another run.
        group.waiting = if tasks.len() < asked { 0 } else { group.waiting.saturating_sub(asked) };
        group.claimed.extend(tasks);
    }

    /// The tasks to look up before the group's next one can begin.
    pub(super) fn unprepared(&mut self, group: usize) -> Vec<Held> {
        let Group { claimed, ready, worth, .. } = &mut self.groups[group];
        if ready.is_empty() { claimed.drain(..claimed.len().min(*worth)).collect() } else { Vec::new() }
    }

    /// Takes them back.
    pub(super) fn prepared(&mut self, group: usize, tasks: impl IntoIterator<Item = Ready>) {
        self.groups[group].ready.extend(tasks);
    }

    /// Begins the group's next task.
    pub(super) fn begin(&mut self, group: usize) -> Option<Ready> {
        let group = &mut self.groups[group];
        let ready = group.ready.pop_front()?;
        group.under_way += 1;
        Some(ready)
    }

    /// Whether nothing is at hand that did not begin.
    pub(super) fn is_empty_handed(&self) -> bool {
        self.groups.iter().all(|group| group.ready.is_empty() && group.claimed.is_empty())
    }

    /// Whether something waits, here or in the state.
    pub(super) fn has_more(&self) -> bool {
        !self.is_empty_handed() || self.groups.iter().any(|group| group.waiting > 0)
    }

    /// Gives up what was claimed, and is not looked up yet: there are others who could begin it.
    pub(super) fn spare(&mut self) -> Vec<Held> {
        self.groups.iter_mut().flat_map(|group| group.claimed.drain(..)).collect()
    }

    /// Gives up everything that did not begin.
    pub(super) fn drain(&mut self) -> Vec<Held> {
        let of = |group: &mut Group| -> Vec<Held> {
            group.ready.drain(..).map(|(held, _)| held).chain(group.claimed.drain(..)).collect()
        };
        self.groups.iter_mut().flat_map(of).collect()
    }

    /// A task is over.
    pub(super) fn end(&mut self, task: &Task) {
        let is_it = |group: &&mut Group| group.project == task.declared && group.server == task.server.uid;
        if let Some(group) = self.groups.iter_mut().find(is_it) {
            group.under_way = group.under_way.saturating_sub(1);
        }
    }
}

/// How many of so many waiting tasks to claim at once: where others want some, half of what there is and no more than
/// can be begun soon, so that nobody stands idle at the end.
fn portion(waiting: usize, worth: usize, accompanied: bool) -> usize {
    if accompanied { waiting.div_ceil(2).min(worth) } else { waiting.min(ALONE) }
}

/// A group in numbers.
struct State {
    server: Uid,
    worth: usize,
    left: usize,
    under_way: usize,
    parked: usize,
}

fn next_of(groups: &[State]) -> Option<usize> {
    groups.iter().position(|group| {
        let of_server = groups.iter().filter(|other| other.server == group.server);
        let active: usize = of_server.map(|other| other.under_way - other.parked).sum();
        group.left > 0 && active < group.worth && group.parked < group.worth
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(server: u128, left: usize, under_way: usize, parked: usize) -> State {
        State { server: Uid::from_parts(0, server), worth: 4, left, under_way, parked }
    }

    #[test]
    fn a_server_has_as_many_tasks_under_way_as_it_is_worth() {
        assert_eq!(next_of(&[group(1, 9, 3, 0)]), Some(0));
        assert_eq!(next_of(&[group(1, 9, 4, 0)]), None);
        assert_eq!(next_of(&[group(1, 9, 3, 0), group(1, 9, 1, 0)]), None, "two projects of one server share it");
        assert_eq!(next_of(&[group(1, 9, 4, 0), group(2, 9, 0, 0)]), Some(1), "another server has its own");
        assert_eq!(next_of(&[group(1, 0, 0, 0)]), None);
    }

    #[test]
    fn throttled_tasks_hold_no_slot_and_do_not_pile_up() {
        assert_eq!(next_of(&[group(1, 9, 4, 1)]), Some(0));
        assert_eq!(next_of(&[group(1, 9, 4, 4)]), None, "those behind them would only wait as well");
        assert_eq!(next_of(&[group(1, 9, 4, 4), group(1, 9, 0, 0)]), Some(1), "other accounts may have budget");
    }

    #[test]
    fn whoever_has_company_leaves_something_for_others() {
        assert_eq!(portion(1000, 12, false), ALONE);
        assert_eq!(portion(3, 12, false), 3);
        let mut left = 40;
        let mut taken = Vec::new();
        while left > 0 {
            let some = portion(left, 12, true);
            taken.push(some);
            left -= some;
        }
        assert_eq!(taken, [12, 12, 8, 4, 2, 1, 1]);
    }

    #[test]
    fn what_the_state_does_not_give_is_not_asked_for_again_until_it_is_looked_at() {
        let project = ProjectSelector::new("PAY").unwrap();
        let server = Uid::from_parts(0, 1);
        let waits = || vec![queue::Group { server, project: project.clone(), tasks: 5 }];
        let mut queue = Queue::default();
        queue.learn(waits(), |_| None);
        assert!(!queue.has_more(), "it is on a server that this worker does not know");
        queue.learn(waits(), |_| Some(4));
        assert_eq!(queue.next(|_| 0), Some(0));
        assert_eq!(queue.lack(0, false), Some((project.clone(), 5)));
        queue.claimed(0, 5, Vec::new());
        assert_eq!((queue.next(|_| 0), queue.has_more()), (None, false));
        queue.learn(waits(), |_| Some(4));
        assert_eq!(queue.next(|_| 0), Some(0));
        queue.learn(Vec::new(), |_| Some(4));
        assert_eq!(queue.next(|_| 0), None);
    }
}
