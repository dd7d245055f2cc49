//! nginx in front of the gateways and the auth service, from the template in `deploy/nginx`.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    paths,
    process::{Server, Spec},
    ready,
    service::Service,
    workdir::Workdir,
};

/// Starts it on that port and waits until it takes connections. With `affinity`, an address stays with one gateway.
pub async fn start(
    workdir: &Workdir,
    port: u16,
    gateways: &[Service],
    auth: &Service,
    affinity: bool,
) -> Result<Server> {
    let folder = workdir.folder("nginx")?;
    let file = folder.join("nginx.conf");
    let template = paths::root().join("deploy/nginx/nginx.conf.template");
    let template = fs::read_to_string(&template).with_context(|| template.display().to_string())?;
    let gateways: Vec<u16> = gateways.iter().map(|gateway| gateway.port).collect();
    fs::write(&file, render(&template, port, &gateways, auth.port, &folder, affinity))?;
    let program = paths::which("nginx").context("nginx is not installed; `cargo xtask install`")?;
    let log = folder.join("error.log");
    // One process: a killed master would leave its workers behind.
    let spec = Spec::new("nginx", program, &workdir.logs)
        .args(["-g", "daemon off; master_process off;", "-p"])
        .args([&folder])
        .args(["-e".as_ref(), log.as_os_str(), "-c".as_ref(), file.as_os_str()]);
    let mut server = spec.start()?;
    server.until_ready(|| ready::tcp(port)).await?;
    Ok(server)
}

/// Fills in the template's `${NAME}`s.
fn render(template: &str, port: u16, gateways: &[u16], auth: u16, folder: &Path, affinity: bool) -> String {
    let server = |port: &u16| format!("server 127.0.0.1:{port} max_fails=0;");
    let first = affinity.then(|| "hash $remote_addr consistent;".to_owned());
    let servers = first.into_iter().chain(gateways.iter().map(server)).collect::<Vec<_>>().join(" ");
    let parts = paths::root().join("deploy/nginx");
    template
        .replace("${LISTEN}", &format!("127.0.0.1:{port}"))
        .replace("${GATEWAYS}", &servers)
        .replace("${AUTH}", &format!("server 127.0.0.1:{auth};"))
        // So that tests on this one machine can send as clients of many addresses.
        .replace("${TRUSTED}", "set_real_ip_from 127.0.0.0/8;")
        // No limits: tests and load generators have few addresses.
        .replace("${LIMITS}", "")
        .replace("${ACCESS}", "off")
        .replace("${PARTS}", &parts.display().to_string())
        .replace("${PAGE}", &paths::root().join("deploy/page").display().to_string())
        .replace("${RUN}", &folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_filled_without_a_rest() {
        let template = fs::read_to_string(paths::root().join("deploy/nginx/nginx.conf.template")).unwrap();
        let config = |affinity| render(&template, 1, &[2, 3], 4, Path::new("/run"), affinity);
        let (hashed, config) = (config(true), config(false));
        assert!(hashed.contains("        hash $remote_addr consistent; server"), "{hashed}");
        assert!(!config.contains("${"), "{config}");
        let servers = "server 127.0.0.1:2 max_fails=0; server 127.0.0.1:3 max_fails=0;";
        assert_eq!(config.matches(servers).count(), 1, "{config}");
        assert!(!config.contains("\n        hash "), "no affinity");
    }
}
