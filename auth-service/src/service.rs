//! Puts the service together, and starts and ends it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use jackfield_shared::{ids::new_id, lifecycle::Lifecycle, serve::serve, settings::SettingsError, trace};
use jsonwebtoken::jwk::JwkSet;
use rand::rngs::OsRng;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    app::{App, Limits},
    demo::{self, DemoError},
    failed_logins::{FailedLogins, Failures},
    http,
    passwords::{self, Cost, PasswordError, Passwords},
    rate_limit::{Allowance, RateLimit},
    settings::{AuthSettings, Password},
    signing_key::{KeyError, StoredKey},
    tokens::Tokens,
    users::{OpenError, Users, UsersError},
};

/// For the database to answer, the schema, the key and the demo users, all together.
const START_WITHIN: Duration = Duration::from_secs(60);
/// Keys that each limit remembers: some 10 MB when they are long email addresses.
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
    /// It took too long.
    #[error("the database was not ready within {} s", START_WITHIN.as_secs())]
    TooSlow,
    /// A port cannot be had.
    #[error("cannot listen on {0}")]
    Listen(String, #[source] std::io::Error),
}

/// The service, ready to answer; where it is served is the caller's matter.
pub struct AuthService {
    app: Arc<App>,
    origins: Vec<String>,
}

impl AuthService {
    /// Opens the database, brings its schema up to date, and makes what is missing: signing key, demo users.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn build(settings: AuthSettings, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        settings.check()?;
        jackfield_shared::metrics::install(crate::metrics::METRICS, lifecycle);
        trace::install(&settings.otel, "jackfield-auth", &new_id(), lifecycle)?;
        let building = Self::build_slowly(settings, lifecycle);
        tokio::time::timeout(START_WITHIN, building).await.map_err(|_| StartError::TooSlow)?
    }

    async fn build_slowly(settings: AuthSettings, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        let AuthSettings { database, seed, token, password, login, register, cors, proxy, .. } = settings;
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
            stopping: lifecycle.stopping(),
        };
        tracing::info!(kid = %key.kid, demo_users = app.seed_enabled, "accounts are open");
        Ok(Self { app: Arc::new(app), origins: cors.origins })
    }

    /// The public routes: `/api` and below, and the key set. Any other path is answered 404.
    pub fn router(&self) -> Router {
        http::public_router(&self.app, &self.origins)
    }

    /// The internal routes: `/healthz`, `/readyz` and `/metrics`.
    pub fn internal_router(&self) -> Router {
        http::internal_router(&self.app)
    }

    /// Looks at what goes up and down, for [`jackfield_shared::metrics::render`].
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

    /// Gives the database back, after the last request.
    pub async fn close(&self) {
        self.app.users.close().await;
    }
}

/// The service on its two ports.
pub struct Server {
    service: AuthService,
    public: TcpListener,
    internal: TcpListener,
    lifecycle: Lifecycle,
}

impl Server {
    /// Takes the ports, then builds the service: whoever connects meanwhile waits for it.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(settings: AuthSettings, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        let public = listen(&settings.host, settings.port).await?;
        let internal = listen(settings.internal_host(), settings.internal_port()?).await?;
        let service = AuthService::build(settings, lifecycle).await?;
        Ok(Self { service, public, internal, lifecycle: lifecycle.clone() })
    }

    /// Where the public and the internal port are.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.public.local_addr()?, self.internal.local_addr()?))
    }

    /// Serves until the lifecycle ends. Requests that are being answered then are the lifecycle's tasks.
    pub async fn serve(self) -> AuthService {
        let Self { service, public, internal, lifecycle } = self;
        tokio::join!(
            serve(public, service.router(), lifecycle.clone()),
            serve(internal, service.internal_router(), lifecycle),
        );
        service
    }
}

/// Runs the service on its two ports until the lifecycle ends and every request is answered, at most for `grace`.
///
/// # Errors
/// [`StartError`].
pub async fn run(settings: AuthSettings, lifecycle: &Lifecycle, grace: Duration) -> Result<(), StartError> {
    let starting = Box::pin(Server::bind(settings, lifecycle));
    let started = lifecycle.stopping().run_until_cancelled(starting).await;
    let Some(server) = started.transpose()? else { return Ok(()) };
    if let Ok((public, internal)) = server.addresses() {
        tracing::info!(%public, %internal, "listening");
    }
    let service = server.serve().await;
    if !lifecycle.finish(grace).await {
        tracing::warn!("some requests were not answered in time");
    }
    // Whoever still asks gets no answer; a connection that hangs must not keep the process.
    let _ = tokio::time::timeout(grace, service.close()).await;
    Ok(())
}

async fn listen(host: &str, port: u16) -> Result<TcpListener, StartError> {
    let refused = |error| StartError::Listen(format!("{host}:{port}"), error);
    TcpListener::bind((host, port)).await.map_err(refused)
}
