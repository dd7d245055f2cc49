//! Metrics of every service about its process and its async runtime.

use std::time::Duration;

use crate::time::now;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

crate::metric_list! {
    /// CPU time used, user and system, in seconds.
    FloatCounter CPU = "process_cpu_seconds_total";
    /// Resident memory, in bytes.
    Gauge RESIDENT = "process_resident_memory_bytes";
    /// Open file descriptors.
    Gauge OPEN_FDS = "process_open_fds";
    /// Limit of open file descriptors.
    Gauge MAX_FDS = "process_max_fds";
    /// Start time of the process, in seconds since the Unix epoch.
    Gauge STARTED = "process_start_time_seconds";
    /// Threads of the process.
    Gauge THREADS = "process_threads";
    /// Worker threads of the async runtime.
    Gauge WORKERS = "jackfield_runtime_workers";
    /// Tasks of the async runtime that have not ended.
    Gauge TASKS = "jackfield_runtime_tasks";
    /// Tasks waiting in the async runtime's global queue for a worker.
    Gauge QUEUED = "jackfield_runtime_queued_tasks";
    /// Time that workers were busy, summed over all of them, in seconds; its rate divided by the workers is the load.
    FloatCounter BUSY = "jackfield_runtime_busy_seconds_total";
    /// Delay between a timer's deadline and the task's wake-up, in seconds, sampled twice a second.
    Histogram LATE = "jackfield_runtime_delay_seconds";
}

const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// Measures [`LATE`] until it is cancelled.
pub(super) async fn measure_delay(stopping: CancellationToken) {
    loop {
        let deadline = now() + SAMPLE_EVERY;
        if stopping.run_until_cancelled(tokio::time::sleep_until(deadline.into())).await.is_none() {
            return;
        }
        LATE.record(now().duration_since(deadline));
    }
}

/// Samples the process and the runtime that this is called in.
pub(super) fn sample() {
    let process = metrics_process::collector::collect();
    let to_usize = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    for (gauge, value) in [
        (&RESIDENT, process.resident_memory_bytes),
        (&OPEN_FDS, process.open_fds),
        (&MAX_FDS, process.max_fds),
        (&STARTED, process.start_time_seconds),
        (&THREADS, process.threads),
    ] {
        if let Some(value) = to_usize(value) {
            gauge.set(value);
        }
    }
    if let Some(seconds) = process.cpu_seconds_total {
        CPU.set(seconds);
    }
    if let Ok(runtime) = Handle::try_current() {
        let runtime = runtime.metrics();
        WORKERS.set(runtime.num_workers());
        TASKS.set(runtime.num_alive_tasks());
        QUEUED.set(runtime.global_queue_depth());
        let busy: Duration = (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker)).sum();
        BUSY.set(busy.as_secs_f64());
    }
}
