//! The REST resources.

mod page;
mod pulls;
mod shape;
mod tokens;

use crate::account::{Account, Permission};
use crate::auth::{anonymous, not_permitted};
use crate::body::Reply;
use crate::judge;
use crate::limit::Allowance;
use crate::route::{Route, parameter};
use crate::server::Shared;
use crate::world::{ProjectRecord, RepositoryRecord};
use page::PageRequest;
use serde_json::{Value, json};
use shape::Links;

pub(crate) use tokens::{TokenCall, answer as answer_about_tokens};

/// Answers a request for a REST resource.
pub(crate) fn answer(shared: &Shared, route: &Route, query: Option<&str>, account: Option<&Account>) -> Reply {
    if *route == Route::ApplicationProperties {
        let version = &shared.options.version;
        return Reply::json(200, &shape::application_properties(version));
    }
    let Some(account) = account else {
        return anonymous();
    };
    let resource = Resource { shared, query, account };
    resource.answer(route).unwrap_or_else(|refusal| refusal)
}

struct Resource<'a> {
    shared: &'a Shared,
    query: Option<&'a str>,
    account: &'a Account,
}

impl Resource<'_> {
    fn answer(&self, route: &Route) -> Result<Reply, Reply> {
        match route {
            Route::Projects => self.projects(),
            Route::Project { key } => {
                let project = self.project(key)?;
                Ok(Reply::json(200, &shape::project(&self.links(), &project)))
            }
            Route::ProjectRepositories { key } => {
                let project = self.project(key)?;
                self.repositories(|repository| repository.project == project.key)
            }
            Route::Repository { key, slug } => {
                let repository = self.repository(key, slug)?;
                Ok(Reply::json(200, &self.shape(&repository)))
            }
            Route::DefaultBranch { key, slug } => self.default_branch(key, slug),
            Route::PullRequests { key, slug } => self.pull_requests(key, slug),
            Route::Repositories => self.all_repositories(),
            Route::Users => self.users(),
            Route::User { slug } => self.user(slug),
            Route::RateLimitSettings => Ok(self.rate_limit()),
            Route::OwnRateLimit { slug } => self.own_rate_limit(slug),
            Route::ApplicationProperties
            | Route::AccessTokens { .. }
            | Route::AccessToken { .. }
            | Route::UnknownRest
            | Route::Status
            | Route::Git { .. }
            | Route::Unknown => Err(Reply::error(404, "There is no such resource.", None)),
        }
    }

    fn projects(&self) -> Result<Reply, Reply> {
        let registry = self.shared.world.registry();
        let projects: Vec<ProjectRecord> = registry.projects().cloned().collect();
        drop(registry);
        let least = self.least("PROJECT")?;
        let visible =
            |project: &ProjectRecord| !project.is_personal() && self.account.in_project(&project.key) >= least;
        let links = self.links();
        let page = self.page()?;
        Ok(page.answer(&projects, visible, |p| shape::project(&links, p)))
    }

    fn all_repositories(&self) -> Result<Reply, Reply> {
        let archived = parameter(self.query, "archived").unwrap_or_else(|| "ACTIVE".to_owned());
        let wanted = match archived.to_ascii_uppercase().as_str() {
            "ACTIVE" => Some(false),
            "ARCHIVED" => Some(true),
            "ALL" => None,
            _ => return Err(invalid("archived")),
        };
        let key = parameter(self.query, "projectkey");
        let name = parameter(self.query, "name").map(|name| name.to_lowercase());
        let least = self.least("REPO")?;
        self.repositories(|repository| {
            self.permission(repository) >= least
                && wanted.is_none_or(|wanted| wanted == repository.archived)
                && key.as_ref().is_none_or(|key| key.eq_ignore_ascii_case(&repository.project))
                && name.as_ref().is_none_or(|name| repository.slug.to_lowercase().contains(name))
        })
    }

    /// The permission that is asked for, such as `REPO_WRITE` after the prefix `REPO`.
    fn least(&self, prefix: &str) -> Result<Permission, Reply> {
        let Some(asked) = parameter(self.query, "permission") else { return Ok(Permission::Read) };
        match asked.strip_prefix(prefix) {
            Some("_READ") => Ok(Permission::Read),
            Some("_WRITE") => Ok(Permission::Write),
            Some("_ADMIN") => Ok(Permission::Admin),
            _ => Err(invalid("permission")),
        }
    }

    /// A page of the repositories that fulfil the condition. The position counts over the invisible ones as well.
    fn repositories(&self, condition: impl Fn(&RepositoryRecord) -> bool) -> Result<Reply, Reply> {
        let registry = self.shared.world.registry();
        let all: Vec<RepositoryRecord> = registry.repositories().cloned().collect();
        drop(registry);
        let visible =
            |repository: &RepositoryRecord| condition(repository) && self.permission(repository) > Permission::None;
        let page = self.page()?;
        Ok(page.answer(&all, visible, |repository| self.shape(repository)))
    }

    fn default_branch(&self, key: &str, slug: &str) -> Result<Reply, Reply> {
        let repository = self.repository(key, slug)?;
        let path = self.shared.world.repository_path(repository.id);
        let judge::Head::Symbolic(id) = judge::head(&path) else {
            let class = "com.atlassian.bitbucket.repository.NoDefaultBranchException";
            return Err(Reply::error(404, "There is no default branch.", Some(class)));
        };
        let short = id.strip_prefix("refs/heads/").unwrap_or(&id);
        let branch = json!({"id": id, "displayId": short, "type": "BRANCH"});
        Ok(Reply::json(200, &branch))
    }

    /// Everybody who has logged in sees everybody. The filter looks for a part of the name, the display name or the
    /// e-mail address.
    fn users(&self) -> Result<Reply, Reply> {
        let filter = parameter(self.query, "filter").unwrap_or_default().to_lowercase();
        let fits = |account: &Account| {
            if account.service.is_some() {
                return false;
            }
            let shape = shape::user(account);
            let texts =
                ["name", "displayName", "emailAddress"].map(|member| shape[member].as_str().map(str::to_lowercase));
            texts.into_iter().flatten().any(|text| text.contains(&filter))
        };
        Ok(self.page()?.answer(&self.shared.accounts(), fits, shape::user))
    }

    fn user(&self, slug: &str) -> Result<Reply, Reply> {
        let accounts = self.shared.accounts();
        let found = accounts.iter().find(|account| account.address() == slug);
        let class = "com.atlassian.bitbucket.user.NoSuchUserException";
        let user = found.ok_or_else(|| Reply::error(404, "There is no such user.", Some(class)))?;
        Ok(Reply::json(200, &shape::user(user)))
    }

    /// Those to the repository, open ones unless others are asked for; what changed last comes first.
    fn pull_requests(&self, key: &str, slug: &str) -> Result<Reply, Reply> {
        let repository = self.repository(key, slug)?;
        let state = parameter(self.query, "state").unwrap_or_else(|| "OPEN".to_owned()).to_ascii_uppercase();
        if !["OPEN", "MERGED", "DECLINED", "ALL"].contains(&state.as_str()) {
            return Err(invalid("state"));
        }
        let outgoing = parameter(self.query, "direction").is_some_and(|direction| direction == "OUTGOING");
        let all = pulls::of(&self.shared.world.repository_path(repository.id));
        let wanted = |pull: &pulls::Pull| !outgoing && (state == "ALL" || state == pull.state);
        Ok(self.page()?.answer(&all, wanted, |pull| pull.shape(self.shape(&repository))))
    }

    fn rate_limit(&self) -> Reply {
        let settings = match self.shared.buckets.default_allowance() {
            Allowance::Unlimited => json!({"enabled": false}),
            Allowance::Bucket { capacity, per_second } => json!({
                "enabled": true,
                "defaultSettings": shape::bucket(capacity, per_second),
            }),
        };
        Reply::json(200, &settings)
    }

    /// Everybody may ask for the settings of an account of their own, an administrator for all of them.
    fn own_rate_limit(&self, slug: &str) -> Result<Reply, Reply> {
        let own = self.account.address() == slug;
        if !own && self.account.in_project("") < Permission::Admin {
            return Err(not_permitted());
        }
        let name = if own { self.account.name.clone() } else { slug.to_owned() };
        let user = json!({"name": name, "slug": slug, "active": true, "type": "NORMAL"});
        let settings = match self.shared.buckets.own_allowance(&name) {
            None => {
                let class = "com.atlassian.bitbucket.NoSuchEntityException";
                return Err(Reply::error(404, "The user has no settings.", Some(class)));
            }
            Some(Allowance::Unlimited) => json!({"user": user, "whitelisted": true}),
            Some(Allowance::Bucket { capacity, per_second }) => json!({
                "user": user,
                "whitelisted": false,
                "settings": shape::bucket(capacity, per_second),
            }),
        };
        Ok(Reply::json(200, &settings))
    }

    fn project(&self, key: &str) -> Result<ProjectRecord, Reply> {
        let found = self.shared.world.registry().project_by_any_key(key).cloned();
        let project = found.ok_or_else(|| no_such_project(key))?;
        match self.account.in_project(&project.key) {
            Permission::None => Err(not_permitted()),
            Permission::Read | Permission::Write | Permission::Admin => Ok(project),
        }
    }

    fn repository(&self, key: &str, slug: &str) -> Result<RepositoryRecord, Reply> {
        let found = self.shared.world.registry().find_by_any_name(key, slug).cloned();
        let (key, slug) = found.as_ref().map_or((key, slug), |found| (&found.project, &found.slug));
        find_repository(self.shared, key, slug, self.account).map(|(repository, _)| repository)
    }

    fn permission(&self, repository: &RepositoryRecord) -> Permission {
        self.account.in_repository(&repository.project, &repository.slug)
    }

    fn shape(&self, repository: &RepositoryRecord) -> Value {
        let found = self.shared.world.registry().project(&repository.project).cloned();
        let project = found.expect("a repository has a project");
        shape::repository(&self.links(), repository, &project)
    }

    fn links(&self) -> Links<'_> {
        Links {
            base: self.shared.link_base(),
            user: self.shared.options.user_in_links.then_some(&self.account.name),
            ssh: self.shared.options.ssh_links,
        }
    }

    fn page(&self) -> Result<PageRequest, Reply> {
        PageRequest::of(self.query, self.shared.page_cap())
    }
}

/// A repository and what the account may do with it.
pub(crate) fn find_repository(
    shared: &Shared,
    key: &str,
    slug: &str,
    account: &Account,
) -> Result<(RepositoryRecord, Permission), Reply> {
    let registry = shared.world.registry();
    let project = registry.project(key).ok_or_else(|| no_such_project(key))?;
    let found = registry.find(key, slug).cloned();
    match (found, account.in_project(&project.key)) {
        (_, Permission::None) => Err(not_permitted()),
        (None, _) => {
            let class = "com.atlassian.bitbucket.repository.NoSuchRepositoryException";
            let message = format!("Repository {}/{slug} does not exist.", project.key);
            Err(Reply::error(404, &message, Some(class)))
        }
        (Some(found), _) => match account.in_repository(&found.project, &found.slug) {
            Permission::None => Err(not_permitted()),
            permission => Ok((found, permission)),
        },
    }
}

fn no_such_project(key: &str) -> Reply {
    let class = "com.atlassian.bitbucket.project.NoSuchProjectException";
    let message = format!("Project {key} does not exist.");
    Reply::error(404, &message, Some(class))
}

fn invalid(parameter: &str) -> Reply {
    let class = "com.atlassian.bitbucket.validation.ArgumentValidationException";
    let message = format!("The parameter {parameter} is not valid.");
    Reply::error(400, &message, Some(class))
}
