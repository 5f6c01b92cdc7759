//! What processes are killed in: a server with projects and limits, a file in force, and everything that changes.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake_bitbucket::{Action, Allowance, Control, Kind, Repository, When, World};
use jiff::Timestamp;
use xopero::source::{SOURCE_LIMIT, read_file};

use super::dice::Dice;
use super::inquest::Memory;
use super::keeping::{Keeping, end_leases_of_workers, location_of, remove_all};
use super::life::{Deed, End, Life, Moment};
use crate::file;
use crate::scene::{PATIENCE, files, readers};
use crate::support::{Home, file_text, write_text};
use crate::two_hosts::Elsewhere;
use crate::watch::{BEFORE_THEM, dealt_with, now, passed_times};

/// Both plans.
pub const PLANS: [&str; 2] = ["nightly", "hot"];

/// The accounts, which have limits.
const ACCOUNTS: [&str; 2] = ["main", "one"];

/// What an account may do: enough for a life that is not meant to wait.
const ALLOWANCE: Allowance = Allowance::Bucket { capacity: 200, per_second: 100.0 };

pub struct Estate {
    pub home: Home,
    pub keeping: Keeping,
    /// Another host on the same state, if it is kept where one can be.
    there: Option<Elsewhere>,
    pub repositories: Vec<Repository>,
    /// The texts that may be in force: the number in each, by digest.
    pub versions: BTreeMap<String, u32>,
    /// The number in the text that is written next.
    number: u32,
    /// When both plans run: never by themselves while a test lasts.
    times: String,
    /// Before the last of those times.
    before: Timestamp,
    listener: Arc<Mutex<Option<Sender<Deed>>>>,
    /// Repositories that were fetched twice at the same time.
    twice: Arc<Mutex<Vec<String>>>,
    pub memory: Memory,
}

impl Estate {
    /// Declared, and not applied.
    pub fn declared(keeping: &Keeping) -> Self {
        let world = World::new();
        let (pay, ops) = (world.project("PAY"), world.project("OPS"));
        let repositories = vec![
            pay.repository("ledger", |recipe| recipe.commits(3)),
            pay.repository("web", |recipe| recipe.commits(2).branches(2).tag("v1")),
            pay.repository("large", |recipe| recipe.bulk(3, 900_000)),
            ops.repository("tools", |recipe| recipe.commits(2)),
            ops.repository("scripts", |recipe| recipe),
        ];
        let mut home = Home::new(world, readers(&ACCOUNTS).allowance(ALLOWANCE));
        keeping.hold(&mut home);
        let (listener, twice) = (Arc::default(), Arc::default());
        home.server.fault(When::any(), watch(&listener, &twice));
        let (times, before) = (passed_times(), now().saturating_sub(BEFORE_THEM).expect("a time"));
        let schedule = format!("    schedule \"{times}\" tz=\"UTC\"\n");
        let scheduled = |plan: String| plan.replace("    retention", &format!("{schedule}    retention"));
        let nightly = file::plan("nightly", "PAY", "enable-credentials \"extra-1\"", &["nas", "offsite"]);
        let nightly = nightly.replace("    parts", "    project \"OPS\"\n    parts");
        let hot = file::plan("hot", "PAY", "repositories include=\"ledger\"", &["nas"]);
        let declared = [file::project("PAY"), file::project("OPS"), scheduled(nightly), scheduled(hot)].concat();
        home.write_file(&["nas", "offsite"], &declared);
        home.add_credential("PAY", None, "main");
        home.add_credential("PAY", Some("extra-1"), "one");
        home.add_credential("OPS", None, "main");
        let there = match keeping {
            Keeping::File => None,
            Keeping::Server(_) => {
                // Wherever it is looked for from.
                let folder = home.path().join("destinations");
                let text = file_text(&home).replace("local \"destinations", &format!("local \"{}", folder.display()));
                write_text(&home, &text);
                Some(Elsewhere::of(&home))
            }
        };
        let mut estate = Self {
            home,
            keeping: keeping.clone(),
            there,
            repositories,
            versions: BTreeMap::new(),
            number: 100,
            times,
            before,
            listener,
            twice,
            memory: Memory::default(),
        };
        estate.know_version();
        estate
    }

    /// Declared and applied.
    pub fn applied(keeping: &Keeping) -> Self {
        let estate = Self::declared(keeping);
        estate.home.apply();
        estate
    }

    /// A process that is killed at a moment. What it did so far is what the inquest finds.
    pub fn life(&self, arguments: &[&str], moment: Moment) -> End {
        Life::begin(self, self.command(arguments), moment, None).live(Duration::ZERO, |_| {})
    }

    /// Something that is done beside the file.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.xopero_command(arguments);
        command.env("XOPERO_IDENTITY_FILE", self.home.path().join("identity.txt"));
        command
    }

    /// Something that is done on another host, or here where no other one can be.
    pub fn command_elsewhere(&self, arguments: &[&str]) -> Command {
        match &self.there {
            Some(there) => there.command(&self.home, arguments),
            None => self.command(arguments),
        }
    }

    /// Whether there are several hosts.
    pub fn is_shared(&self) -> bool {
        self.there.is_some()
    }

    /// All workers were killed, and those who began runs go on.
    pub fn lose_workers(&self) {
        // Nobody fetches again what the server still sends to the dead.
        let log = self.home.server.log();
        let begun = log.len();
        assert!(log.wait_for_blocking(PATIENCE, |entries| {
            entries.iter().take(begun).all(|entry| entry.kind != Kind::FETCH || entry.is_over())
        }));
        end_leases_of_workers(&self.home);
    }

    /// Whoever hears of requests.
    pub fn listen(&self, listener: Sender<Deed>) {
        *self.listener.lock().expect("no holder panics") = Some(listener);
    }

    /// Nobody does any more; waits until the server is done with the dead.
    pub fn over(&self) {
        *self.listener.lock().expect("no holder panics") = None;
        let log = self.home.server.log();
        assert!(log.wait_for_blocking(PATIENCE, |entries| entries.iter().all(fake_bitbucket::Entry::is_over)));
        log.clear();
        let twice = self.twice.lock().expect("no holder panics");
        assert!(twice.is_empty(), "fetched twice at the same time: {twice:?}");
    }

    /// Remembers that what the file says may come into force.
    pub fn know_version(&mut self) {
        let source = read_file(&self.home.path().join("xopero.kdl"), SOURCE_LIMIT).expect("the file is there");
        self.versions.insert(source.sha256, self.number);
    }

    /// The text of the next version, which is safe to apply.
    pub fn next_version(&mut self) -> String {
        let text = file_text(&self.home)
            .replace(&format!("keep last={}", self.number), &format!("keep last={}", self.number + 1));
        self.number += 1;
        text
    }

    /// The file says something new, which is safe.
    pub fn change_file(&mut self) {
        let text = self.next_version();
        write_text(&self.home, &text);
        self.know_version();
    }

    /// Pushes, and a limit that is hit.
    pub fn stir(&self, dice: &mut Dice) -> String {
        let mut told = String::new();
        for _ in 0..dice.below(3) {
            let repository = dice.one_of(&self.repositories);
            if repository.slug() == "large" && dice.once_in(3) {
                repository.commit_large("main", 1_300_000);
            } else {
                repository.commit("main");
            }
            told = format!("{told}, a push to {}", repository.slug());
        }
        let dry = dice.once_in(5);
        for account in ACCOUNTS {
            let buckets = self.home.server.buckets();
            if dry {
                buckets.drain(account);
            } else {
                buckets.refill(account, 200);
            }
        }
        if dry { told + ", no budget" } else { told }
    }

    /// Lets both plans have missed a time.
    pub fn miss(&self) {
        dealt_with(&location_of(&self.home), &PLANS, &self.times, self.before);
    }

    /// Runs both plans to their ends, and demands that everything is backed up and nothing is left over.
    pub fn settle(&mut self) {
        self.keeping.come_to_rest();
        for account in ACCOUNTS {
            self.home.server.buckets().refill(account, 200);
        }
        for plan in PLANS {
            let end = self.life(&["run", plan, "--json"], Moment::Never);
            assert_eq!(end.code, 0, "{plan}: {}\n{}", end.stderr, end.lines.join("\n"));
        }
        self.inquest();
        self.demand_settled();
    }

    /// No file that a write did not finish, but for those that the next edit of the file takes away.
    pub fn strays(&self) -> Vec<String> {
        let there = self.there.iter().flat_map(|there| files(there.folder.path()));
        let all = files(self.home.path()).into_iter().chain(there).map(|path| path.display().to_string());
        all.filter(|path| path.contains('#') || path.contains(xopero::staged::PREFIX)).collect()
    }

    /// As it was before anything was applied.
    pub fn forget(&mut self) {
        self.keeping.forget(&self.home);
        remove_all(&self.home.path().join("destinations"));
        self.memory = Memory::default();
    }
}

/// Tells the listener of every request, and notes what is fetched twice at a time.
fn watch(listener: &Arc<Mutex<Option<Sender<Deed>>>>, twice: &Arc<Mutex<Vec<String>>>) -> Action {
    let (listener, twice) = (Arc::clone(listener), Arc::clone(twice));
    Action::run(move |control: &Control| {
        let mut under_way = BTreeMap::<String, usize>::new();
        for entry in control.log().snapshot() {
            if entry.kind == Kind::FETCH && !entry.is_over() {
                *under_way.entry(entry.path).or_default() += 1;
            }
        }
        let several = under_way.into_iter().filter(|(_, count)| *count > 1).map(|(path, _)| path);
        twice.lock().expect("no holder panics").extend(several);
        if let Some(listener) = &*listener.lock().expect("no holder panics") {
            let _over = listener.send(Deed::Asked);
        }
    })
}

/// Runs something asynchronous to its end.
pub fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(work)
}
