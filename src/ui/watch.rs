//! What a watch tells: lines for people and for whoever collects logs, or JSON for programs.

use serde_json::{Value, json};

use super::shown::shown_explanation;
use super::telling::{Lines, Talk, Tone};
use super::{count, shown};
use crate::config;
use crate::daemon::{Activation, AutoApply, WatchEvent, WatchSink};
use crate::model::{Generation, PlanName, command_with};
use crate::run::{Event, Outcome, Summary, lines};
use crate::source::{Tip, short_commit};

impl WatchSink for Talk {
    fn tell(&self, event: &WatchEvent<'_>) {
        if let WatchEvent::Activated { sources, activation: Activation::Invalid { diagnostics }, .. } = event {
            self.report(|color, width| config::render(sources, diagnostics, color, width));
        }
        let (text, tone) = words(event, self.options());
        self.line(&text, tone);
    }

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        self.line_of_run(plan, event);
    }
}

pub(super) fn words(event: &WatchEvent<'_>, options: &str) -> (String, Tone) {
    match event {
        WatchEvent::Listening { address } => (format!("health and figures at {}", shown(address)), Tone::Plain),
        WatchEvent::Started { source, generation, level } => {
            let level = match level {
                AutoApply::None => "nothing is applied without you",
                AutoApply::Safe => "what is safe is applied, what is guarded waits for you",
                AutoApply::Guarded => "what is safe or guarded is applied",
            };
            (format!("following {}; {}; {level}", shown(source), in_force(*generation)), Tone::Plain)
        }
        WatchEvent::Activated { activation, in_force, tip, .. } => {
            let (text, tone) = activated(activation, *in_force, options);
            let (text, commit) = (text, tip.map(|tip| format!(" ({})", commit_of(tip))));
            (text + commit.as_deref().unwrap_or_default(), tone)
        }
        WatchEvent::SourceMissing { path, reason } => {
            let name = path.file_name().map(|name| name.to_string_lossy());
            // Most reasons name the file by themselves.
            let names_it = name.is_some_and(|name| reason.contains(&*name));
            let what = if names_it { reason.clone() } else { format!("{}: {reason}", path.display()) };
            (format!("{}; what is in force stays so", shown(&what)), Tone::Bad)
        }
        WatchEvent::SourceBack => ("it can be read again, and says what it said".to_owned(), Tone::Good),
        WatchEvent::SourceStale { reason, hint, since } => {
            let hint = hint.as_ref().map(|hint| format!("; {}", shown(hint))).unwrap_or_default();
            (format!("not read since {since:.0}: {}{hint}", shown(reason)), Tone::Bad)
        }
        WatchEvent::SourceRewound { applied, tip } => {
            let (applied, tip) = (short_commit(applied), short_commit(tip));
            let text = format!(
                "the branch was set back or written anew: {tip} does not come from {applied}, which is in force; what \
                 is in force stays so. If it is meant, look at it with `xopero plan` and the --git options of this \
                 watch, and put it in force with `xopero apply` and the same"
            );
            (text, Tone::Bad)
        }
        WatchEvent::SourceUnsigned { commit, why } => {
            let commit = short_commit(commit);
            (format!("commit {commit} is not signed as demanded: {}; what is in force stays so", shown(why)), Tone::Bad)
        }
        WatchEvent::Polling { reason } => {
            (format!("the system does not tell of changes ({}): they are looked for", shown(reason)), Tone::Care)
        }
        WatchEvent::RunBegins { plan, scheduled: None, .. } => {
            (format!("{plan}: goes on with the run that was cut off"), Tone::Plain)
        }
        WatchEvent::RunBegins { plan, scheduled: Some(scheduled), missed } => {
            let more = if *missed > 0 {
                format!(", and for {} before it", count(*missed as u64, "time"))
            } else {
                String::new()
            };
            let scheduled = scheduled.strftime("%Y-%m-%d %H:%M");
            (format!("{plan}: begins the run of {scheduled}{more}"), Tone::Plain)
        }
        WatchEvent::PassedOver { plan, scheduled, why } => {
            let scheduled = scheduled.strftime("%Y-%m-%d %H:%M");
            (format!("{plan}: no run for {scheduled}: {}", why.as_str()), Tone::Care)
        }
        WatchEvent::RunWaits { plan, why } => (format!("{plan}: is due, and waits: {}", shown(why)), Tone::Care),
        WatchEvent::RunEnded { plan, summary } => ended(plan, summary),
        WatchEvent::RunFailed { plan, error, hint } => {
            let hint = hint.as_ref().map(|hint| format!("; {}", shown(hint))).unwrap_or_default();
            (format!("{plan}: the run failed: {}{hint}", shown(&error.join(": "))), Tone::Bad)
        }
        WatchEvent::Trouble { error } => {
            (format!("{}; trying again every few seconds", shown(&error.join(": "))), Tone::Bad)
        }
        WatchEvent::Reloading => ("asked to read everything again".to_owned(), Tone::Plain),
        WatchEvent::Draining { runs: 0, .. } => ("stopping".to_owned(), Tone::Plain),
        WatchEvent::Draining { runs, patience } => {
            let (runs, seconds) = (count(*runs as u64, "run"), count(patience.as_secs(), "second"));
            let text = format!(
                "stopping: {runs} under way, no other repository is begun; what is under way may take {seconds} \
                 (ask again to end at once)"
            );
            (text, Tone::Plain)
        }
        WatchEvent::Stopped => ("stopped".to_owned(), Tone::Plain),
    }
}

/// A branch's last commit, for people. Nobody has checked who its author says to be.
fn commit_of(tip: &Tip) -> String {
    format!("{} by {}", short_commit(tip.at.commit()), shown(&tip.author))
}

fn in_force(generation: Option<Generation>) -> String {
    generation.map_or_else(|| "nothing is in force".to_owned(), |number| format!("generation {number} is in force"))
}

fn stays(generation: Option<Generation>) -> String {
    generation.map_or_else(|| "nothing is in force".to_owned(), |number| format!("generation {number} stays in force"))
}

fn activated(activation: &Activation, in_force: Option<Generation>, options: &str) -> (String, Tone) {
    let command = |command: &str| shown_explanation(&command_with(command, options));
    match activation {
        Activation::Applied { generation, counts } => {
            (format!("applied as generation {generation}: {}", super::history::words(*counts)), Tone::Good)
        }
        Activation::InSync { generation: Some(number) } => {
            (format!("in sync: generation {number} says what the file says"), Tone::Good)
        }
        Activation::InSync { generation: None } => ("nothing is declared".to_owned(), Tone::Care),
        Activation::Pending { plan_id, rails } => {
            let why = if rails.is_empty() { String::new() } else { format!(": {}", shown(&rails.join("; "))) };
            let text = format!(
                "the file waits for approval{why}; {}. See it with `{}`, agree with `{}`",
                stays(in_force),
                command("plan"),
                command(&format!("apply --approve {plan_id}"))
            );
            (text, Tone::Care)
        }
        Activation::Refused { rails } => {
            let text = format!(
                "the file is refused, and no approval lets it through: {}; {}. See what to change with `{}`",
                shown(&rails.join("; ")),
                stays(in_force),
                command("plan")
            );
            (text, Tone::Bad)
        }
        Activation::Invalid { diagnostics } => {
            let found = count(diagnostics.len() as u64, "problem");
            (format!("the file is invalid ({found}); {}", stays(in_force)), Tone::Bad)
        }
        Activation::Busy { holder } => {
            let holder = holder.as_ref().map_or_else(|| "somebody".to_owned(), |holder| shown(&holder.to_string()));
            (format!("{holder} changes the state: the file is applied after that"), Tone::Care)
        }
        Activation::Failed { error } => {
            let hint = error.hint().map(|hint| format!("; {}", shown(&hint))).unwrap_or_default();
            let error = shown(&lines(error).join(": "));
            (format!("cannot apply the file: {error}{hint}; {}", stays(in_force)), Tone::Bad)
        }
    }
}

fn ended(plan: &PlanName, summary: &Summary) -> (String, Tone) {
    let totals = &summary.totals;
    let text = format!(
        "{plan}: {}: {} new, {} changed, {} unchanged, {} failed, {} stored, {} (run {})",
        summary.outcome.as_str(),
        totals.new,
        totals.changed,
        totals.unchanged,
        totals.failed,
        super::bytes(totals.stored),
        super::millis(summary.finished.as_millisecond() - summary.started.as_millisecond()),
        summary.run,
    );
    let good = summary.outcome == Outcome::Done;
    (text, if good { Tone::Good } else { Tone::Bad })
}

impl WatchSink for Lines {
    fn tell(&self, event: &WatchEvent<'_>) {
        if let WatchEvent::Activated { sources, activation: Activation::Invalid { diagnostics }, .. } = event {
            for diagnostic in diagnostics {
                self.report(&config::to_json(sources, diagnostic));
            }
        }
        self.line(to_json(event));
    }

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        self.line_of_run(plan, event);
    }
}

fn to_json(event: &WatchEvent<'_>) -> Value {
    match event {
        WatchEvent::Listening { address } => json!({ "type": "listening", "address": address }),
        WatchEvent::Started { source, generation, level } => {
            let level = match level {
                AutoApply::None => "none",
                AutoApply::Safe => "safe",
                AutoApply::Guarded => "guarded",
            };
            json!({ "type": "watch_started", "source": source, "generation": generation, "auto_apply": level })
        }
        WatchEvent::Activated { activation, in_force, tip, .. } => {
            let mut line = activation_json(activation);
            line["type"] = json!("activated");
            line["generation"] = json!(in_force);
            if let Some(tip) = tip {
                line["commit"] = json!(tip.at.commit());
                line["author"] = json!(tip.author);
                line["signed_by"] = json!(tip.signed_by);
            }
            line
        }
        WatchEvent::SourceMissing { path, reason } => {
            json!({ "type": "source_missing", "path": path.display().to_string(), "reason": reason })
        }
        WatchEvent::SourceBack => json!({ "type": "source_back" }),
        WatchEvent::SourceStale { reason, hint, since } => {
            json!({ "type": "source_stale", "reason": reason, "hint": hint, "since": since })
        }
        WatchEvent::SourceRewound { applied, tip } => {
            json!({ "type": "source_rewound", "applied": applied, "tip": tip })
        }
        WatchEvent::SourceUnsigned { commit, why } => {
            json!({ "type": "source_unsigned", "commit": commit, "reason": why })
        }
        WatchEvent::Polling { reason } => json!({ "type": "polling", "reason": reason }),
        WatchEvent::RunBegins { plan, scheduled, missed } => {
            let scheduled = scheduled.map(|scheduled| scheduled.timestamp());
            json!({ "type": "run_begins", "plan": plan, "scheduled": scheduled, "missed": missed })
        }
        WatchEvent::PassedOver { plan, scheduled, why } => {
            let scheduled = scheduled.timestamp();
            json!({ "type": "passed_over", "plan": plan, "scheduled": scheduled, "reason": why.as_str() })
        }
        WatchEvent::RunWaits { plan, why } => json!({ "type": "run_waits", "plan": plan, "reason": why }),
        WatchEvent::RunEnded { plan, summary } => {
            json!({ "type": "run_ended", "plan": plan, "run": summary.run, "outcome": summary.outcome })
        }
        WatchEvent::RunFailed { plan, error, hint } => {
            json!({ "type": "run_failed", "plan": plan, "error": error, "hint": hint })
        }
        WatchEvent::Trouble { error } => json!({ "type": "trouble", "error": error }),
        WatchEvent::Reloading => json!({ "type": "reloading" }),
        WatchEvent::Draining { runs, patience } => {
            json!({ "type": "draining", "runs": runs, "patience_seconds": patience.as_secs() })
        }
        WatchEvent::Stopped => json!({ "type": "stopped" }),
    }
}

fn activation_json(activation: &Activation) -> Value {
    match activation {
        Activation::Applied { generation: _, counts } => json!({ "result": "applied", "counts": counts }),
        Activation::InSync { generation: _ } => json!({ "result": "in-sync" }),
        Activation::Pending { plan_id, rails } => {
            json!({ "result": "pending-approval", "plan_id": plan_id, "rails": rails })
        }
        Activation::Refused { rails } => json!({ "result": "refused", "rails": rails }),
        Activation::Invalid { diagnostics } => json!({ "result": "invalid", "problems": diagnostics.len() }),
        Activation::Busy { holder } => json!({ "result": "busy", "holder": holder }),
        Activation::Failed { error } => {
            json!({ "result": "failed", "error": lines(error), "hint": error.hint() })
        }
    }
}
