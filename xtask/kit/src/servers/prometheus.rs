//! Prometheus beside a cluster, with the rules of `deploy/prometheus`; it scrapes every second, so that people and
//! tests do not wait for long.

use std::fs;

use anyhow::{Context, Result};

use crate::{
    paths,
    process::{Server, Spec},
    ready,
    service::Service,
    workdir::Workdir,
};

/// Starts it on that port and waits until it answers.
pub async fn start(workdir: &Workdir, port: u16, gateways: &[Service], auth: &Service) -> Result<Server> {
    let folder = workdir.folder("prometheus")?;
    let file = folder.join("prometheus.yml");
    let rules = paths::root().join("deploy/prometheus/rules/*.yml");
    fs::write(&file, config(gateways, auth, &rules.display().to_string()))?;
    let program = paths::which("prometheus").context("Prometheus is not installed; `cargo xtask install`")?;
    let spec = Spec::new("prometheus", program, &workdir.logs)
        .args([format!("--config.file={}", file.display()), format!("--storage.tsdb.path={}", folder.display())])
        .args([format!("--web.listen-address=127.0.0.1:{port}")]);
    let mut server = spec.start()?;
    server.until_ready(|| ready::http_ok(port, "/-/ready")).await?;
    Ok(server)
}

fn config(gateways: &[Service], auth: &Service, rules: &str) -> String {
    let job = |name: &str, services: &[Service]| {
        let target = |service: &Service| format!("\"127.0.0.1:{}\"", service.internal);
        let targets: Vec<String> = services.iter().map(target).collect();
        format!("  - job_name: {name}\n    static_configs: [{{ targets: [{}] }}]\n", targets.join(", "))
    };
    let jobs = [job("gateway", gateways), job("auth-service", std::slice::from_ref(auth))].concat();
    format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [\"{rules}\"]\nscrape_configs:\n{jobs}"
    )
}
