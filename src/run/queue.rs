//! Which task begins next.
//!
//! Tasks of one declared project wait for the same accounts and make a group. A server is worth so many tasks under
//! way; a throttled one is not under way, so that others go on which could: of other servers, or with other accounts.
//! No more than that number of each group are throttled at a time: those behind them would only wait as well.

use std::collections::VecDeque;

use super::chain::Chain;
use super::task::Task;
use crate::model::{ProjectSelector, Uid};

/// A task with what the destinations have of its repository, if that was looked up.
pub(super) type Ready = (Task, Option<Vec<Chain>>);

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
    waiting: VecDeque<Task>,
    ready: VecDeque<Ready>,
    under_way: usize,
}

impl Queue {
    /// Groups in the order of their first task.
    pub(super) fn new(tasks: Vec<Task>) -> Self {
        let mut queue = Self::default();
        for task in tasks {
            let place = queue.groups.iter().position(|group| group.project == task.declared);
            let place = place.unwrap_or_else(|| {
                queue.groups.push(Group {
                    project: task.declared.clone(),
                    server: task.server.uid,
                    worth: task.server.tasks.max(1),
                    waiting: VecDeque::new(),
                    ready: VecDeque::new(),
                    under_way: 0,
                });
                queue.groups.len() - 1
            });
            queue.groups[place].waiting.push_back(task);
        }
        queue
    }

    /// The group whose next task may begin. `parked` tells how many of a project are throttled.
    pub(super) fn next(&self, parked: impl Fn(&ProjectSelector) -> usize) -> Option<usize> {
        let states = self.groups.iter().map(|group| State {
            server: group.server,
            worth: group.worth,
            left: group.waiting.len() + group.ready.len(),
            under_way: group.under_way,
            parked: parked(&group.project).min(group.under_way),
        });
        next_of(&states.collect::<Vec<_>>())
    }

    /// The tasks to look up before the group's next one can begin.
    pub(super) fn unprepared(&mut self, group: usize) -> Vec<Task> {
        let Group { waiting, ready, worth, .. } = &mut self.groups[group];
        if ready.is_empty() { waiting.drain(..waiting.len().min(*worth)).collect() } else { Vec::new() }
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

    /// Whether every task has begun.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| group.ready.is_empty() && group.waiting.is_empty())
    }

    /// The tasks that did not begin.
    pub(super) fn left(self) -> impl Iterator<Item = Task> {
        self.groups.into_iter().flat_map(|group| group.ready.into_iter().map(|(task, _)| task).chain(group.waiting))
    }

    /// A task is over.
    pub(super) fn end(&mut self, task: &Task) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.project == task.declared) {
            group.under_way = group.under_way.saturating_sub(1);
        }
    }
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
}
