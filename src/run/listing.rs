//! The references of one repository, in whatever protocol and object format it answers.

use jiff::Timestamp;

use super::TaskError;
use super::attempt::Attempt;
use super::caller::Caller;
use crate::bitbucket::Client;
use crate::git::{GitError, Listing, ServerFacts};
use crate::model::{Head, ObjectFormat, References};

/// What a listing says.
pub(super) struct Listed {
    /// What the server speaks.
    pub(super) facts: ServerFacts,
    /// The repository's object format.
    pub(super) format: ObjectFormat,
    /// Its references.
    pub(super) references: References,
    /// When they were read.
    pub(super) read: Timestamp,
}

impl Attempt<'_> {
    /// Lists the references: with one request, if the server speaks what is remembered and the repository has the
    /// `expected` format.
    pub(super) async fn list(
        &self,
        expected: Option<ObjectFormat>,
        caller: &mut Caller<'_>,
    ) -> Result<Listed, TaskError> {
        let mut listed = self.list_references(expected, caller).await?;
        if listed.references.head == Head::Unknown {
            listed.references.head = self.unborn_head(&listed.references, caller).await?;
        }
        Ok(listed)
    }

    async fn list_references(
        &self,
        expected: Option<ObjectFormat>,
        caller: &mut Caller<'_>,
    ) -> Result<Listed, TaskError> {
        let (server, context) = (&self.task.server, self.context);
        let read = context.clock.now();
        let facts = server.facts(&self.remote, &context.credentials, caller, &context.state, &context.events).await?;
        match self.list_once(&facts, expected.unwrap_or(ObjectFormat::Sha1), caller).await {
            Err(TaskError::Git(GitError::NotV2 { .. })) => {}
            Err(error) => return Err(error),
            Ok(Listing { references, object_format: format }) => return Ok(Listed { facts, format, references, read }),
        }
        let advertisement = server.discover(&self.remote, &context.credentials, caller).await?;
        let facts = server.relearn(advertisement.facts, &context.state, &context.events).await?;
        let format = advertisement.object_format;
        if let Some(references) = advertisement.references {
            return Ok(Listed { facts, format, references, read });
        }
        let Listing { references, object_format: format } = self.list_once(&facts, format, caller).await?;
        Ok(Listed { facts, format, references, read })
    }

    async fn list_once(
        &self,
        facts: &ServerFacts,
        format: ObjectFormat,
        caller: &mut Caller<'_>,
    ) -> Result<Listing, TaskError> {
        let (server, remote) = (&self.task.server, &self.remote);
        let sent = self.context.credentials.send(caller, move |voucher| async move {
            let list = |authorization| async move { remote.list(&authorization, facts, format).await };
            server.gate.listing(voucher.for_git(), list).await
        });
        sent.await
    }

    /// Git without protocol v2 does not tell an unborn `HEAD`; Bitbucket's REST side knows it as the default branch.
    async fn unborn_head(&self, references: &References, caller: &mut Caller<'_>) -> Result<Head, TaskError> {
        let (server, slug, project) = (&self.task.server, &self.task.repository.slug, &self.task.name.project);
        let client = &Client::new(server.http.clone());
        let sent = self.context.credentials.send(caller, move |voucher| async move {
            let ask = |authorization| async move { client.default_branch(&authorization, project, slug).await };
            server.gate.listing(voucher, ask).await
        });
        match sent.await {
            Ok(Some(target)) if references.tips.iter().any(|tip| tip.name == target) => Ok(Head::Symbolic { target }),
            Ok(Some(target)) => Ok(Head::Unborn { target }),
            Err(error @ (TaskError::Stopped | TaskError::OutOfTime { .. })) => Err(error),
            // An old server may not have the resource: that HEAD is not known is in the manifest.
            Ok(None) | Err(_) => Ok(Head::Unknown),
        }
    }
}
