//! Metrics of every service about its process and its async runtime.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

crate::metric_list! {
    /// Seconds of processor time, user and system together.
    FloatCounter CPU = "process_cpu_seconds_total";
    /// Bytes of memory that the process has in use.
    Gauge RESIDENT = "process_resident_memory_bytes";
    /// Open file descriptors.
    Gauge OPEN_FDS = "process_open_fds";
    /// File descriptors that may be open at once.
    Gauge MAX_FDS = "process_max_fds";
    /// When the process began, in seconds since the Unix epoch.
    Gauge STARTED = "process_start_time_seconds";
    /// Threads of the process.
    Gauge THREADS = "process_threads";
    /// Worker threads of the runtime.
    Gauge WORKERS = "jackfield_runtime_workers";
    /// Tasks of the runtime that have not ended.
    Gauge TASKS = "jackfield_runtime_tasks";
    /// Tasks that wait in the runtime's global queue for a worker.
    Gauge QUEUED = "jackfield_runtime_queued_tasks";
    /// Seconds in which workers were busy, all together; its rate divided by the workers is how full the runtime is.
    FloatCounter BUSY = "jackfield_runtime_busy_seconds_total";
    /// How much later than asked for a task is woken, looked at twice a second.
    Histogram LATE = "jackfield_runtime_delay_seconds";
}

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Measures [`LATE`] until it is cancelled.
pub(super) async fn watch(stopping: CancellationToken) {
    loop {
        let due = Instant::now() + LOOK_EVERY;
        if stopping.run_until_cancelled(tokio::time::sleep_until(due.into())).await.is_none() {
            return;
        }
        LATE.record(due.elapsed());
    }
}

/// Samples the process and the runtime that this is called in.
pub(super) fn look() {
    let process = metrics_process::collector::collect();
    let whole = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    for (gauge, value) in [
        (&RESIDENT, process.resident_memory_bytes),
        (&OPEN_FDS, process.open_fds),
        (&MAX_FDS, process.max_fds),
        (&STARTED, process.start_time_seconds),
        (&THREADS, process.threads),
    ] {
        if let Some(value) = whole(value) {
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
