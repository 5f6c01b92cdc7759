//! `xopero alert`.

mod test;

use std::sync::Arc;

use clap::{Args, Subcommand};

use super::{CliError, Context, env};
use crate::alert::{Alerter, AllowExec, Courier, Heard};
use crate::clock::Clock;
use crate::state::StateStore;

/// Try who is told when backups do not come
#[derive(Debug, Args)]
pub struct AlertArgs {
    #[command(subcommand)]
    command: AlertCommand,
}

#[derive(Debug, Subcommand)]
enum AlertCommand {
    Test(test::TestArgs),
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &AlertArgs) -> Result<u8, CliError> {
    match &arguments.command {
        AlertCommand::Test(arguments) => test::run(context, arguments).await,
    }
}

/// What the machine trusts the file with.
#[derive(Debug, Clone, Copy, Args)]
pub struct TrustArgs {
    /// Call the programs that `alerts` name with `exec`
    #[arg(long)]
    pub allow_exec: bool,
}

impl TrustArgs {
    /// Who sends.
    pub fn courier(self, context: &Context) -> Courier {
        Courier {
            base: context.base(),
            proxies: env::proxies(),
            identities: context.identity_sources(),
            allow_exec: if self.allow_exec { AllowExec::Yes } else { AllowExec::No },
        }
    }

    /// Who tells.
    pub fn alerter(self, context: &Context, state: &Arc<StateStore>, clock: &Arc<dyn Clock>) -> Alerter {
        Alerter {
            state: Arc::clone(state),
            courier: self.courier(context),
            who: env::who(),
            clock: Arc::clone(clock),
            heard: Arc::new(Heard::default()),
            options: context.place_words(),
        }
    }
}
