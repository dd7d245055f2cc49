//! CPU time and memory, from `/proc`: of the servers, of Redis, of this program and of the whole machine.

use std::fs;

use anyhow::{Context, Result};

use crate::clock::{SECOND, now};

/// The processes to watch.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    /// Processes of the measured servers.
    pub servers: Vec<u32>,
    /// The Redis that they share, or all of them.
    pub redis: Vec<u32>,
}

/// CPU time until one moment, in clock ticks.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    at: u64,
    servers: u64,
    redis: Vec<u64>,
    own: u64,
    machine: Machine,
}

/// Ticks of all processors of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Machine {
    all: u64,
    idle: u64,
    stolen: u64,
}

/// The usage between two samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// Wall-clock seconds.
    pub seconds: f64,
    /// CPU seconds of all servers together.
    pub servers: f64,
    /// CPU seconds of each Redis.
    pub redis: Vec<f64>,
    /// CPU seconds of this program.
    pub generator: f64,
    /// Share of the machine's CPU time that other processes used, 0 to 1.
    pub others: f64,
    /// Share of the machine's CPU time that the hypervisor gave to others, 0 to 1.
    pub stolen: f64,
}

impl Probe {
    /// CPU time until now. Fails if a server has exited.
    pub fn sample(&self) -> Result<Sample> {
        let ticks = |pid: &u32| process_ticks(&format!("/proc/{pid}/stat"));
        let servers = self.servers.iter().map(ticks).sum::<Result<u64>>().context("a measured server has exited")?;
        let redis = self.redis.iter().map(ticks).collect::<Result<_>>().context("Redis has exited")?;
        let machine = machine(&read("/proc/stat")?).context("/proc/stat")?;
        Ok(Sample { at: now(), servers, redis, own: process_ticks("/proc/self/stat")?, machine })
    }

    /// Resident memory of all servers, in KiB.
    pub fn memory(&self) -> Result<u64> {
        let resident = |pid: &u32| {
            let file = format!("/proc/{pid}/status");
            resident(&read(&file)?).context(file)
        };
        self.servers.iter().map(resident).sum()
    }
}

impl Sample {
    /// The usage from this sample to a later one.
    #[expect(clippy::cast_precision_loss, reason = "ticks and nanoseconds of one run fit")]
    pub fn until(&self, later: &Self) -> Usage {
        let tick = rustix::param::clock_ticks_per_second() as f64;
        let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / tick;
        let all = (later.machine.all.saturating_sub(self.machine.all)).max(1) as f64;
        let share = |from: u64, to: u64| to.saturating_sub(from) as f64 / all;
        let stolen = share(self.machine.stolen, later.machine.stolen);
        let ours = |sample: &Self| sample.servers + sample.redis.iter().sum::<u64>() + sample.own;
        let used = 1.0 - share(self.machine.idle, later.machine.idle) - stolen - share(ours(self), ours(later));
        Usage {
            seconds: later.at.saturating_sub(self.at) as f64 / SECOND as f64,
            servers: seconds(self.servers, later.servers),
            redis: self.redis.iter().zip(&later.redis).map(|(from, to)| seconds(*from, *to)).collect(),
            generator: seconds(self.own, later.own),
            // Below zero by a tick or two if there are none.
            others: used.max(0.0),
            stolen,
        }
    }
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(file).with_context(|| file.to_owned())
}

fn process_ticks(file: &str) -> Result<u64> {
    ticks(&read(file)?).with_context(|| file.to_owned())
}

/// User and system time of all threads: fields 14 and 15. The name in field 2 may contain spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<u64>().ok();
    Some(field()? + field()?)
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal.
fn machine(stat: &str) -> Option<Machine> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().take(8);
    let fields: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    let [_, _, _, idle, waiting, _, _, stolen] = *fields.as_slice() else { return None };
    Some(Machine { all: fields.iter().sum(), idle: idle + waiting, stolen })
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_files_of_proc() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 9 9 20 0 1 0 100 1000 100 18446744073709551615";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks(""), None);
        let all = Machine { all: 360, idle: 230, stolen: 40 };
        assert_eq!(machine("cpu  10 20 30 200 30 10 20 40 5 5\ncpu0 1"), Some(all));
        assert_eq!(resident("Name:\ta\nVmRSS:\t   1234 kB\n"), Some(1_234));
    }

    #[test]
    fn the_machines_time_is_divided_among_ours_others_and_stolen() {
        let machine = |all, idle, stolen| Machine { all, idle, stolen };
        let before = Sample { machine: machine(1_000, 500, 10), ..Sample::default() };
        let after =
            Sample { servers: 20, redis: vec![2, 3], own: 5, machine: machine(1_200, 600, 30), ..Sample::default() };
        let usage = before.until(&after);
        assert!((usage.stolen - 0.1).abs() < 1e-9 && (usage.others - 0.25).abs() < 1e-9, "{usage:?}");
    }

    #[test]
    fn measures_this_process() {
        let probe = Probe { servers: vec![std::process::id()], redis: Vec::new() };
        let before = probe.sample().unwrap();
        let usage = before.until(&probe.sample().unwrap());
        assert!(usage.seconds >= 0.0 && usage.stolen <= 1.0 && usage.others <= 1.0);
        assert!(probe.memory().unwrap() > 100);
    }
}
