//! Builds, starts and stops the service.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::Router;
use jackfield_shared::{
    ids::new_id,
    lifecycle::Lifecycle,
    rate_limit::{Allowance, RateLimit},
    serve::serve,
    settings::SettingsError,
    trace,
};
use jsonwebtoken::jwk::JwkSet;
use rand::rngs::OsRng;
use sqlx::migrate::MigrateError;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    app::{App, Limits},
    demo::{self, DemoError},
    failed_logins::{FailedLogins, Failures},
    http::{self, Started},
    passwords::{self, Cost, PasswordError, Passwords},
    settings::{AuthSettings, Password},
    signing_key::{KeyError, StoredKey},
    tokens::Tokens,
    users::{OpenError, Users, UsersError},
};

/// Timeout of one attempt to start: database connection, schema, signing key and demo users together.
const TRY_FOR: Duration = Duration::from_secs(60);
/// Pause between two attempts.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Keys that each limit remembers: about 10 MB if they are long email addresses.
const REMEMBERED: usize = 100_000;

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting makes no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database does not answer, or refuses.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// There is no signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Passwords cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The demo users cannot be made.
    #[error("the demo users cannot be made")]
    Demo(#[from] DemoError),
    /// One attempt took longer than `TRY_FOR`.
    #[error("the database was not ready within {} s", TRY_FOR.as_secs())]
    TooSlow,
    /// The process was stopped before the database answered.
    #[error("ended before the database answered")]
    Stopped,
    /// A port cannot be bound.
    #[error("cannot listen on {0}")]
    Listen(String, #[source] std::io::Error),
}

impl StartError {
    /// Whether a retry may help: the database is away or starts up, or the hasher is busy.
    fn is_passing(&self) -> bool {
        let unavailable = |error: &sqlx::Error| UsersError::is_unavailable(error);
        match self {
            Self::Open(OpenError::Database(error)) => unavailable(error),
            Self::Open(OpenError::Migrate(MigrateError::Execute(error))) => unavailable(error),
            Self::Users(error) | Self::Demo(DemoError::Users(error)) => matches!(error, UsersError::Unavailable(_)),
            Self::Demo(DemoError::Password(error)) => *error == PasswordError::Busy,
            Self::TooSlow => true,
            _ => false,
        }
    }
}

/// The service, built but not served: the caller binds it to a port.
pub struct AuthService {
    app: Arc<App>,
    origins: Vec<String>,
}

impl AuthService {
    /// Opens the database, brings its schema up to date, and creates what is missing: the signing key and, if enabled,
    /// the demo users. Waits for a database that does not answer, for as long as it takes.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn build(settings: AuthSettings, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        settings.check()?;
        jackfield_shared::metrics::install(crate::metrics::METRICS, lifecycle);
        trace::install(&settings.otel, "jackfield-auth", &new_id(), lifecycle)?;
        let stopping = lifecycle.stopping();
        loop {
            let trying = tokio::time::timeout(TRY_FOR, Self::try_build(&settings, lifecycle));
            let tried = stopping.run_until_cancelled(trying).await.ok_or(StartError::Stopped)?;
            match tried.unwrap_or(Err(StartError::TooSlow)) {
                Err(error) if error.is_passing() => {
                    let error = anyhow::Error::from(error);
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "waiting for the database at `database.url` (DATABASE_URL)"
                    );
                }
                built => return built,
            }
            stopping.run_until_cancelled(tokio::time::sleep(TRY_AGAIN)).await.ok_or(StartError::Stopped)?;
        }
    }

    async fn try_build(settings: &AuthSettings, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        let AuthSettings { database, seed, token, password, login, register, cors, proxy, .. } = settings.clone();
        let users = Users::open(&database.url, database.connections).await?;
        let key = users.signing_key(&StoredKey::generate(&mut OsRng)?).await?;
        let tokens = Tokens::new(token.issuer, token.audience, token.lifetime, &key)?;
        let Password { concurrency, wait, per_address } = password;
        let hashing = passwords::Limits { concurrency, per_address, wait };
        let passwords = Passwords::new(Cost::STANDARD, hashing, lifecycle).await?;
        if seed.enabled {
            demo::make_missing(&users, &passwords).await?;
        }
        let failures = Failures {
            of_pair: login.failures,
            of_address: login.failures_per_address,
            of_account: login.failures_per_account,
            window: login.window,
        };
        let registrations = Allowance { count: register.per_address, window: register.window };
        let app = App {
            jwks: watch::Sender::new(tokens.public().clone()),
            users,
            passwords,
            tokens,
            limits: Limits::new(FailedLogins::new(failures, REMEMBERED), RateLimit::new(registrations, REMEMBERED)),
            seed_enabled: seed.enabled,
            proxy_hops: proxy.hops as usize,
        };
        tracing::info!(kid = %key.kid, demo_users = app.seed_enabled, "accounts are open");
        Ok(Self { app: Arc::new(app), origins: cors.origins })
    }

    /// The public routes: `/api` and below, and the key set. Any other path gets 404.
    pub fn router(&self) -> Router {
        http::public_router(&self.app, &self.origins)
    }

    /// Samples the gauges, for [`jackfield_shared::metrics::render`].
    pub fn look(&self) {
        crate::metrics::look(&self.app);
    }

    /// The public keys, for a verifier in the same process.
    #[must_use]
    pub fn jwks(&self) -> watch::Receiver<JwkSet> {
        self.app.jwks.subscribe()
    }

    /// Whether the database answers.
    pub async fn is_ready(&self) -> bool {
        http::health::database_answers(&self.app).await
    }

    /// Closes the database connections. Call it after the last request.
    pub async fn close(&self) {
        self.app.users.close().await;
    }
}

/// The service on its two ports.
pub struct Server {
    service: AuthService,
    addresses: (SocketAddr, SocketAddr),
    serving: [JoinHandle<()>; 2],
}

impl Server {
    /// Binds the ports, then builds the service. Until it is built, the internal port reports it alive but unready, and
    /// the public port answers 503.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(settings: AuthSettings, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        settings.check()?;
        let public = listen(&settings.host, settings.port).await?;
        let internal = listen(settings.internal_host(), settings.internal_port()?).await?;
        let at = |listener: &TcpListener| listener.local_addr().map_err(|error| StartError::Listen("?".into(), error));
        let addresses = (at(&public)?, at(&internal)?);
        let started = Arc::new(OnceLock::new());
        let routes = [
            (public, http::once_started(Arc::clone(&started))),
            (internal, http::health::router(Arc::clone(&started), lifecycle.stopping())),
        ];
        let serving = routes.map(|(listener, routes)| lifecycle.spawn(serve(listener, routes, lifecycle.clone())));
        let service = AuthService::build(settings, lifecycle).await?;
        // Only this line sets it, so it cannot fail.
        let _ = started.set(Started { app: Arc::clone(&service.app), routes: service.router() });
        Ok(Self { service, addresses, serving })
    }

    /// The addresses of the public and the internal port.
    #[must_use]
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        self.addresses
    }

    /// Serves until the lifecycle stops. The lifecycle tracks the requests that are still in progress then.
    pub async fn serve(self) -> AuthService {
        for serving in self.serving {
            // An error means that the task panicked: it has ended, too.
            let _ = serving.await;
        }
        self.service
    }
}

/// Runs the service on its two ports until the lifecycle stops. Then waits for requests in progress, at most `grace`,
/// and for the database connections to close, again at most `grace`.
///
/// # Errors
/// [`StartError`].
pub async fn run(settings: AuthSettings, lifecycle: &Lifecycle, grace: Duration) -> Result<(), StartError> {
    let starting = Box::pin(Server::bind(settings, lifecycle));
    let server = match lifecycle.stopping().run_until_cancelled(starting).await {
        None | Some(Err(StartError::Stopped)) => return Ok(()),
        Some(started) => started?,
    };
    let (public, internal) = server.addresses();
    tracing::info!(%public, %internal, "listening");
    let service = server.serve().await;
    if !lifecycle.finish(grace).await {
        tracing::warn!("some requests were not answered in time");
    }
    // Requests still in progress get no answer. A database connection that hangs must not keep the process alive.
    let _ = tokio::time::timeout(grace, service.close()).await;
    Ok(())
}

async fn listen(host: &str, port: u16) -> Result<TcpListener, StartError> {
    let refused = |error| StartError::Listen(format!("{host}:{port}"), error);
    TcpListener::bind((host, port)).await.map_err(refused)
}
