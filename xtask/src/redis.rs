//! `cargo xtask redis`: one or several Redis without gateways, for tests that are started by hand.

use anyhow::Result;
use xtask_kit::{
    ports::Ports,
    servers::redis::topology::{Kind, Setup, Topology},
    shutdown::Shutdown,
    workdir::Workdir,
};

#[derive(clap::Args)]
pub struct Args {
    /// The Redis to start
    #[arg(value_enum, default_value_t)]
    kind: Kind,
    /// With TLS, client certificates and a user with few permissions
    #[arg(long)]
    tls: bool,
    /// In front of the names of the variables
    #[arg(long, default_value = "TEST_")]
    prefix: String,
}

/// Starts it, prints its settings as commands of a shell, and runs it until this process is asked to shut down.
pub async fn run(args: &Args) -> Result<()> {
    let mut shutdown = Shutdown::listen()?;
    let (workdir, _listener) = Workdir::create(&format!("redis-{}", std::process::id()), None)?;
    let mut ports = Ports::new()?;
    let mut topology = tokio::select! {
        started = Topology::start(Setup { kind: args.kind, tls: args.tls }, &workdir, &mut ports) => started?,
        why = shutdown.requested() => { eprintln!("{why}: not started"); return Ok(()); }
    };
    for (name, value) in topology.env() {
        println!("export {}{name}='{value}'", args.prefix);
    }
    if args.prefix == "TEST_" {
        println!("export TEST_REDIS_NODES='{}'", topology.direct());
    }
    for node in topology.all() {
        eprintln!("{:10} {}, pid {}", node.name(), topology.url(node), node.server.pid);
    }
    eprintln!("{}", shutdown.requested().await);
    topology.stop(std::time::Duration::from_secs(4)).await;
    Ok(())
}
