//! Waiting for an account that has no budget, as the server asks: a rotation that ends at a 429 would only have to be
//! called again.
//!
//! A 429 says that nothing was done, so the same request is sent again, whatever it was. All waits together are bounded:
//! whoever has to wait for longer is told so, and decides. Nothing is held meanwhile that an interrupt could damage: what
//! was done is in the journal, and the next call goes on.

use std::cell::Cell;
use std::time::Duration;

use crate::bitbucket::BitbucketError;
use crate::http::{Authorization, HttpError};
use crate::model::AccountName;

/// The most that one call waits.
const MOST: Duration = Duration::from_mins(10);

/// The first wait, where the server names no time; each one after it is twice as long.
const FIRST: Duration = Duration::from_secs(2);

/// The longest of those.
const LONGEST_UNASKED: Duration = Duration::from_mins(1);

/// The shortest wait, whatever the server asks for.
const SHORTEST: Duration = Duration::from_millis(200);

/// Who waits, and tells of it.
pub struct Patience<'a> {
    tell: &'a dyn Fn(&AccountName, Duration),
    left: Cell<Duration>,
}

impl<'a> Patience<'a> {
    /// `tell` hears whose account is waited for, and for how long, before each wait.
    pub const fn new(tell: &'a dyn Fn(&AccountName, Duration)) -> Self {
        Self { tell, left: Cell::new(MOST) }
    }

    /// Sends a request in the name of an account, and again after each 429 as long as there is time for that.
    pub(super) async fn send<T>(
        &self,
        who: &Authorization,
        mut request: impl AsyncFnMut() -> Result<T, BitbucketError>,
    ) -> Result<T, BitbucketError> {
        let mut unasked = FIRST;
        loop {
            let error = match request().await {
                Err(error) if is_rate_limited(&error) => error,
                ended => return ended,
            };
            let wait = asked(&error).unwrap_or(unasked).max(SHORTEST);
            let Some(left) = self.left.get().checked_sub(wait) else { return Err(error) };
            self.left.set(left);
            unasked = unasked.saturating_mul(2).min(LONGEST_UNASKED);
            (self.tell)(who.account(), wait);
            tokio::time::sleep(wait).await;
        }
    }
}

const fn is_rate_limited(error: &BitbucketError) -> bool {
    matches!(error, BitbucketError::Http(HttpError::RateLimited { .. }))
}

const fn asked(error: &BitbucketError) -> Option<Duration> {
    match error {
        BitbucketError::Http(HttpError::RateLimited { retry_after, .. }) => *retry_after,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use secrecy::SecretString;

    use super::*;
    use crate::http::RequestPlace;

    fn limited(retry_after: Option<Duration>) -> BitbucketError {
        let place = RequestPlace { address: "https://bb.example.com/rest".into(), request_id: None };
        BitbucketError::Http(HttpError::RateLimited { place, retry_after, raw: None })
    }

    fn who() -> Authorization {
        Authorization::bearer("svc".parse().unwrap(), &SecretString::from("token")).unwrap()
    }

    #[tokio::test]
    async fn a_request_is_sent_again_after_the_time_that_was_asked_for() {
        let told = RefCell::new(Vec::new());
        let tell = |account: &AccountName, wait| told.borrow_mut().push((account.to_string(), wait));
        let patience = Patience::new(&tell);
        let mut sent = 0;
        let request = async || {
            sent += 1;
            if sent < 3 { Err(limited(Some(Duration::ZERO))) } else { Ok(sent) }
        };
        assert_eq!(patience.send(&who(), request).await.unwrap(), 3);
        assert_eq!(told.take(), [("svc".to_owned(), SHORTEST), ("svc".to_owned(), SHORTEST)]);
    }

    #[tokio::test]
    async fn whoever_has_to_wait_for_too_long_is_told_at_once() {
        let tell = |_: &AccountName, _| panic!("nobody waits");
        let patience = Patience::new(&tell);
        let mut sent = 0;
        let long = MOST + Duration::from_secs(1);
        let request = async || {
            sent += 1;
            Err::<(), _>(limited(Some(long)))
        };
        assert!(is_rate_limited(&patience.send(&who(), request).await.unwrap_err()));
        assert_eq!(sent, 1);
        let patience = Patience { left: Cell::new(FIRST / 2), ..patience };
        assert!(patience.send(&who(), async || Err::<(), _>(limited(None))).await.is_err(), "nothing is left of it");
    }
}
