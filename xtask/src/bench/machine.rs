//! The machine that the benchmark runs on, for the reader of its results.

use std::fs;

/// The processor, the number of cores and the kernel.
pub fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, cores: {cores}, Linux {}", model(&cpuinfo).unwrap_or("unknown processor"), kernel.trim())
}

fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_the_first_processors() {
        assert_eq!(model("processor\t: 0\nmodel name\t: A B\nprocessor\t: 1\nmodel name\t: C\n"), Some("A B"));
        assert_eq!(model(""), None);
    }
}
