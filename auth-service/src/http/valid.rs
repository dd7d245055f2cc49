//! A JSON body whose values follow their rules. An error lists every broken rule, as class-validator does.

use axum::extract::{FromRequest, Request};
use garde::Validate;
use jackfield_shared::{error_body::ErrorBody, http::body::Body};
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

/// `full_name` → `fullName`.
fn camel_case(field: &str) -> String {
    let mut words = field.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        name + &initial.to_ascii_uppercase() + rest
    })
}

#[cfg(test)]
mod tests {
    use super::camel_case;

    #[test]
    fn fields_have_their_json_names() {
        assert_eq!([camel_case("email"), camel_case("full_name")], ["email", "fullName"]);
    }
}
