//! Prometheus beside a cluster, with the rules of `deploy/prometheus`; it scrapes every second, so that people and
//! tests do not wait for long.

use std::fs;

use anyhow::{Context, Result};

use crate::{
    paths,
    process::{Server, Spec},
    ready,
    workdir::Workdir,
};

/// The targets: internal ports.
pub struct Scraped {
    /// Of the gateways.
    pub gateways: Vec<u16>,
    /// Of the auth service.
    pub auth: u16,
}

/// Starts it and waits until it answers.
pub async fn start(workdir: &Workdir, port: u16, scraped: &Scraped) -> Result<Server> {
    let folder = workdir.folder("prometheus")?;
    let file = folder.join("prometheus.yml");
    let rules = paths::root().join("deploy/prometheus/rules/*.yml");
    fs::write(&file, config(scraped, &rules.display().to_string()))?;
    let program = paths::which("prometheus").context("Prometheus is not installed; `cargo xtask install`")?;
    let spec = Spec::new("prometheus", program, &workdir.logs)
        .args([format!("--config.file={}", file.display()), format!("--storage.tsdb.path={}", folder.display())])
        .args([format!("--web.listen-address=127.0.0.1:{port}")]);
    let mut server = spec.start()?;
    server.until_ready(|| ready::http_ok(port, "/-/ready")).await?;
    Ok(server)
}

fn config(scraped: &Scraped, rules: &str) -> String {
    let job = |name: &str, ports: &[u16]| {
        let targets: Vec<String> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        format!("  - job_name: {name}\n    static_configs: [{{ targets: [{}] }}]\n", targets.join(", "))
    };
    let jobs = [job("gateway", &scraped.gateways), job("auth-service", &[scraped.auth])].concat();
    format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [\"{rules}\"]\nscrape_configs:\n{jobs}"
    )
}
