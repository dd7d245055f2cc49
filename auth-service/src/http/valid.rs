//! A JSON body whose values follow their rules. An error lists every broken rule, as class-validator does.

use axum::extract::{FromRequest, Request};
use garde::Validate;
use jackfield_shared::{error_body::ErrorBody, http::body::Body, settings::camel_case};
use serde::de::DeserializeOwned;

/// A body that was read and passed validation. Its JSON names are its fields' in camelCase.
pub struct Valid<T>(pub T);

impl<T: DeserializeOwned + Validate<Context = ()>, S: Send + Sync> FromRequest<S> for Valid<T> {
    type Rejection = ErrorBody;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorBody> {
        let Body(input) = Body::<T>::from_request(request, state).await?;
        match input.validate() {
            Ok(()) => Ok(Self(input)),
            Err(report) => {
                let broken =
                    report.iter().map(|(path, error)| format!("{} {}", camel_case(&path.to_string()), error.message()));
                Err(ErrorBody::validation(broken.collect()))
            }
        }
    }
}
