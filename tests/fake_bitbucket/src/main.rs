//! Runs a Bitbucket Data Center on loopback by hand, with generated repositories in it.

use clap::Parser;
use fake_bitbucket::{Account, Allowance, FakeBitbucket, Options, Permission, Protocol, World};

/// Serve a fake Bitbucket Data Center on loopback and log each request as a JSON line
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 7990)]
    port: u16,
    /// Path below which everything is
    #[arg(long, default_value = "")]
    context_path: String,
    /// Account that may do everything; may be repeated
    #[arg(long = "account", value_name = "NAME=TOKEN[:PASSWORD]", value_parser = account,
          default_value = "backup=token-1")]
    accounts: Vec<Account>,
    /// Size of each account's bucket of requests; without it there is no rate limit
    #[arg(long)]
    burst: Option<u32>,
    /// Requests per second that flow into each bucket
    #[arg(long, default_value_t = 5.0)]
    refill_per_second: f64,
    /// Number of generated repositories
    #[arg(long, default_value_t = 10)]
    repositories: usize,
    /// Speak git protocol v0 only
    #[arg(long)]
    v0: bool,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let world = World::new();
    let demo = world.project("DEMO");
    demo.many("service", arguments.repositories);
    demo.repository("everything", |recipe| recipe.everything());
    demo.repository("archived", |recipe| recipe.archived());
    demo.repository("empty", |recipe| recipe.empty());
    let mut options = Options::new().port(arguments.port).context_path(&arguments.context_path).on_request(|entry| {
        let line = serde_json::to_string(entry).expect("an entry has string keys only");
        println!("{line}");
    });
    if let Some(capacity) = arguments.burst {
        options = options.allowance(Allowance::Bucket { capacity, per_second: arguments.refill_per_second });
    }
    if arguments.v0 {
        options = options.protocol(Protocol::V0Only);
    }
    for account in arguments.accounts {
        options = options.account(account);
    }
    let server = FakeBitbucket::start(world, options).await;
    let repositories = server.world().repositories();
    eprintln!("{} with {} repositories", server.url(), repositories.len());
    for repository in repositories {
        eprintln!("  {}", server.clone_url(&repository));
    }
    eprintln!("Ctrl-C ends");
    // Without a signal to wait for there is nothing to do but to end.
    let _ = tokio::signal::ctrl_c().await;
}

fn account(text: &str) -> Result<Account, String> {
    let (name, secrets) = text.split_once('=').ok_or("expected NAME=TOKEN[:PASSWORD]")?;
    let (token, password) = match secrets.split_once(':') {
        Some((token, password)) => (token, Some(password)),
        None => (secrets, None),
    };
    let account = Account::new(name).token(token).everywhere(Permission::Admin);
    Ok(match password {
        Some(password) => account.password(password),
        None => account,
    })
}
