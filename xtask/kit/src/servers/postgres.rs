//! A Postgres of our own: a database made for this run, on loopback. Postgres refuses to run as root: for root it runs
//! as the user `postgres`, which the package creates. Data are thrown away, so nothing waits for the disk.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};
use rustix::process::getuid;

use crate::{
    paths,
    process::{Server, Spec},
    ready,
    workdir::Workdir,
};

const USER: &str = "jackfield";

/// A started Postgres.
pub struct Postgres {
    port: u16,
    /// Its process.
    pub server: Server,
}

impl Postgres {
    /// Makes the database cluster and the database, starts the server and waits until it answers.
    pub async fn start(workdir: &Workdir, port: u16) -> Result<Self> {
        let programs = paths::postgres_bin().context("postgresql is not installed; `cargo xtask install`")?;
        let user = getuid().is_root().then(|| "postgres".to_owned());
        let home = workdir.folder("postgres")?;
        if let Some(user) = &user {
            chown(&home, user)?;
        }
        let data = home.join("data");
        let spec = |name: &str, program: &str| {
            Spec::new(name, programs.join(program), &workdir.logs).user(user.clone()).env("LC_ALL", "C")
        };
        let limit = Duration::from_secs(60);
        let fresh = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username", USER, "--pgdata"];
        spec("initdb", "initdb").args(fresh).args([&data]).run(limit).await?;

        let port_text = port.to_string();
        let off = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "unix_socket_directories="];
        let mut server = spec("postgres", "postgres")
            .args(["-h", "127.0.0.1", "-p", &port_text])
            .args(off.iter().flat_map(|setting| ["-c", setting]))
            .args(["-c", "max_connections=200", "-D"])
            .args([&data])
            .start()?;
        let address = ["-h", "127.0.0.1", "-p", &port_text, "-U", USER];
        let answers = || async {
            ready::tcp(port).await?;
            spec("pg_isready", "pg_isready").args(address).run(Duration::from_secs(5)).await
        };
        server.until_ready(answers).await?;
        spec("createdb", "createdb").args(address).args([USER]).run(limit).await?;
        Ok(Self { port, server })
    }

    /// `postgres://…`, of an empty database whose owner may create more.
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{USER}", self.port)
    }
}

fn chown(folder: &Path, user: &str) -> Result<()> {
    let status = Command::new("chown").arg(user).arg(folder).status().context("chown")?;
    anyhow::ensure!(status.success(), "root needs the user `{user}` to run Postgres, and it does not exist");
    Ok(())
}
