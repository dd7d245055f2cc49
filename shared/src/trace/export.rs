//! Sends spans to a collector over OTLP (HTTP, protobuf), in batches.
//!
//! The library queues at most 2,048 spans by default, drops further ones, and runs its exporter on a thread of its own,
//! which ends when the lifecycle does. The requests use the same HTTP client library as all others here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use tokio::{runtime::Handle, sync::oneshot};

use super::TRACER;
use crate::{lifecycle::Lifecycle, settings::SettingsError};

/// How long a span waits for others to share a batch.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// A batch that the collector does not accept within this time is dropped.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sending the last spans may take at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

crate::settings! {
    /// `otel.…`, by the names that OpenTelemetry gives to the environment variables.
    pub struct OtelSettings {
        /// URL of a collector that accepts traces over OTLP/HTTP, such as `http://collector:4318`; empty for no traces.
        exporter_otlp_endpoint: String = String::new(),
        /// Fraction of all traces that is recorded, from 0 to 1.
        traces_sampler_arg: f64 = 0.01,
    }
}

/// Records traces until the lifecycle ends, if there is an endpoint. Call within a runtime. Only the first call of a
/// process has an effect, as with logs.
///
/// # Errors
/// Names the setting that makes no sense.
pub fn install(
    settings: &OtelSettings,
    service: &'static str,
    instance: &str,
    lifecycle: &Lifecycle,
) -> Result<(), SettingsError> {
    let ratio = settings.traces_sampler_arg;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(SettingsError::new("setting `otel.tracesSamplerArg` must be from 0 to 1"));
    }
    let endpoint = settings.exporter_otlp_endpoint.trim_end_matches('/');
    if endpoint.is_empty() || TRACER.get().is_some() {
        return Ok(());
    }
    let wrong = "setting `otel.exporterOtlpEndpoint` must be a URL such as http://collector:4318";
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err(SettingsError::new(wrong));
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new(lifecycle))
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|_| SettingsError::new(wrong))?;
    let config = BatchConfigBuilder::default().with_scheduled_delay(BATCH_DELAY).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    let attributes =
        [KeyValue::new("service.name", service), KeyValue::new("service.instance.id", instance.to_owned())];
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_resource(Resource::builder().with_attributes(attributes).build())
        .build();
    if TRACER.set(provider.tracer("jackfield")).is_ok() {
        tracing::info!(ratio, "recording traces");
    }
    let stopping = lifecycle.stopping();
    lifecycle.spawn(async move {
        stopping.cancelled().await;
        // The shutdown blocks on the library's thread, which waits for the runtime.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the collector did not accept the last spans; they are lost");
        }
    });
    Ok(())
}

/// The library calls it on its own thread; it sends on the runtime.
#[derive(Debug, Clone)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    lifecycle: Lifecycle,
    /// The last batch was not accepted: logged once, not for every batch.
    failing: Arc<AtomicBool>,
}

impl Client {
    fn new(lifecycle: &Lifecycle) -> Self {
        Self {
            http: reqwest::Client::new(),
            runtime: Handle::current(),
            lifecycle: lifecycle.clone(),
            failing: Arc::default(),
        }
    }

    async fn send(self, request: reqwest::Request) -> Result<Response<Bytes>, HttpError> {
        let answer = self.http.execute(request).await.map_err(reqwest::Error::without_url)?;
        let status = answer.status();
        let mut response = Response::new(answer.bytes().await.map_err(reqwest::Error::without_url)?);
        *response.status_mut() = status;
        Ok(response)
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut request = reqwest::Request::try_from(request)?;
        *request.timeout_mut() = Some(EXPORT_TIMEOUT);
        let (done, answer) = oneshot::channel();
        let client = self.clone();
        {
            let _entered = self.runtime.enter();
            self.lifecycle.spawn(async move { done.send(client.send(request).await) });
        }
        let answer = answer.await?;
        let failed = answer.as_ref().map_or(true, |answer| !answer.status().is_success());
        match (self.failing.swap(failed, Ordering::Relaxed), failed) {
            (false, true) => tracing::warn!(
                "the collector does not accept traces, dropping them; check `otel.exporterOtlpEndpoint` \
                 (OTEL_EXPORTER_OTLP_ENDPOINT)"
            ),
            (true, false) => tracing::info!("the collector accepts traces again"),
            _ => {}
        }
        answer
    }
}
