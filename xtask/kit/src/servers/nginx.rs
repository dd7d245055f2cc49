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

/// Starts it on that port and waits until it takes connections.
pub async fn start(workdir: &Workdir, port: u16, gateways: &[Service], auth: &Service) -> Result<Server> {
    let folder = workdir.folder("nginx")?;
    let file = folder.join("nginx.conf");
    let template = paths::root().join("deploy/nginx/nginx.conf.template");
    let template = fs::read_to_string(&template).with_context(|| template.display().to_string())?;
    let gateways: Vec<u16> = gateways.iter().map(|gateway| gateway.port).collect();
    fs::write(&file, render(&template, port, &gateways, auth.port, &folder))?;
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
fn render(template: &str, port: u16, gateways: &[u16], auth: u16, folder: &Path) -> String {
    let servers = |parameters: &str| {
        let server = |port: &u16| format!("server 127.0.0.1:{port} {parameters};");
        gateways.iter().map(server).collect::<Vec<_>>().join(" ")
    };
    let parts = paths::root().join("deploy/nginx");
    template
        .replace("${LISTEN}", &format!("127.0.0.1:{port}"))
        .replace("${GATEWAYS}", &servers("max_fails=0"))
        // Nothing here checks readiness. A gateway that refuses a handshake is most likely draining: for 3 s nginx
        // sends all of its polling clients elsewhere together; one by one they would be sent to and fro.
        .replace("${POLLED}", &servers("max_fails=1 fail_timeout=3s"))
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
        let config = render(&template, 1, &[2, 3], 4, Path::new("/run"));
        assert!(!config.contains("${"), "{config}");
        for parameters in ["max_fails=0", "max_fails=1 fail_timeout=3s"] {
            let servers = format!("server 127.0.0.1:2 {parameters}; server 127.0.0.1:3 {parameters};");
            assert_eq!(config.matches(&servers).count(), 1, "{config}");
        }
    }
}
