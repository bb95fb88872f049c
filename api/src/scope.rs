//! Whose data a request may see. The backend is asked with a [`One`] or an [`Everybody`], which only a [`Scope`] makes: so no handler can ask for another
//! customer's data, whatever it was given (A5). Who has which scope is `guard`'s matter.

use crate::error::{ApiError, Kind};
use crate::query::PathCustomer;

/// What a request may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything.
    Everything,
    /// This customer, and nothing else.
    Customer(String),
}

/// One customer whose data may be seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct One(String);

/// The leave to see everybody's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Everybody(());

/// Whose data is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject(Option<String>);

impl Scope {
    /// The customer of a path. One that is out of this scope, or that nobody can be, becomes one that is not there, so that the answer, and the time that it takes, is the same.
    pub(crate) fn one(&self, asked: &PathCustomer) -> One {
        // No customer has an empty id (L3).
        let nobody = One(String::new());
        match (self, asked) {
            (_, PathCustomer::Impossible) => nobody,
            (Scope::Everything, PathCustomer::Possible(id)) => One(id.clone()),
            (Scope::Customer(own), PathCustomer::Possible(id)) if own == id => One(id.clone()),
            (Scope::Customer(_), PathCustomer::Possible(_)) => nobody,
        }
    }

    /// Everybody, if this scope may see them.
    pub(crate) fn everybody(&self) -> Result<Everybody, ApiError> {
        match self {
            Scope::Everything => Ok(Everybody(())),
            Scope::Customer(_) => Err(ApiError::new(
                Kind::Forbidden,
                "this key or link opens the data of one customer, and this path speaks of all",
            )),
        }
    }
}

impl One {
    /// The id to ask the store for.
    pub(crate) fn id(&self) -> &str {
        &self.0
    }
}

impl Subject {
    /// The id to ask the store for; None = all customers together.
    pub(crate) fn id(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl From<One> for Subject {
    fn from(one: One) -> Self {
        Subject(Some(one.0))
    }
}

impl From<Everybody> for Subject {
    fn from(_: Everybody) -> Self {
        Subject(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a5_a_customers_scope_makes_no_other_subject() {
        let possible = |id: &str| PathCustomer::Possible(id.to_owned());
        let own = Scope::Customer("a".to_owned());
        assert_eq!(own.one(&possible("a")).id(), "a");
        for other in ["b", "A", "a ", "aa", "á", "a/../a"] {
            assert_eq!(own.one(&possible(other)).id(), "", "{other}");
        }
        assert_eq!(own.one(&PathCustomer::Impossible).id(), "");
        assert!(own.everybody().is_err());
        assert_eq!(Scope::Everything.one(&possible("b")).id(), "b");
        assert_eq!(Subject::from(Scope::Everything.everybody().expect("everything")).id(), None);
    }
}
