//! `/status`: whether the server is up at all. It asks for no credential, and gets none.

use serde::Deserialize;

use super::{BitbucketError, Client, LARGEST_DOCUMENT, short_name};
use crate::http::HttpError;

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    /// It serves.
    Running,
    /// It is locked for maintenance: it says so with success.
    Maintenance,
    /// It is not ready: it starts, was never set up, or failed. With its own word.
    NotReady(String),
}

#[derive(Deserialize)]
struct Document {
    state: String,
}

impl Client {
    /// Gets the server's state.
    pub async fn server_state(&self) -> Result<ServerState, BitbucketError> {
        let asked = self.http.get_json_as_stranger::<Document>(&["status"], LARGEST_DOCUMENT).await;
        let state = match asked {
            Ok(answer) => answer.value.state,
            Err(HttpError::Busy { message, .. } | HttpError::Status { status: 500, message, .. })
                if !message.is_empty() =>
            {
                message
            }
            Err(error) => return Err(error.into()),
        };
        Ok(match state.as_str() {
            "RUNNING" => ServerState::Running,
            "MAINTENANCE" => ServerState::Maintenance,
            _ => ServerState::NotReady(short_name(state)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitbucket::canned::Canned;

    #[tokio::test]
    async fn quirk_31_maintenance_is_told_with_success() {
        let state = async |status: u16, body: &str| {
            Canned::answer("/bb/status", body).status(status).serve().await.server_state().await.unwrap()
        };
        assert_eq!(state(200, r#"{"state":"RUNNING"}"#).await, ServerState::Running);
        assert_eq!(state(200, r#"{"state":"MAINTENANCE"}"#).await, ServerState::Maintenance);
        assert_eq!(state(503, r#"{"state":"STARTING"}"#).await, ServerState::NotReady("STARTING".into()));
        assert_eq!(state(500, r#"{"state":"ERROR"}"#).await, ServerState::NotReady("ERROR".into()));
        assert_eq!(state(200, r#"{"state":"FIRST_RUN"}"#).await, ServerState::NotReady("FIRST_RUN".into()));
    }
}
