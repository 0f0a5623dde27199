// Proof in the type: a handler that takes one of these contexts has a caller of that kind, because the initialiser
// throws otherwise. Handlers never unwrap and never ask who is signed in.
public import Hummingbird

/// A resident with a web session, or on routes that a mandate can cover (`Site.resident(helpersIn:)`) a helper in their place. Without a session the request is
/// sent to the sign-in page and back.
public struct ResidentContext: ChildRequestContext, PageContext {
    public var coreContext: CoreRequestContextStorage
    public let web: WebContext
    /// Whom the page is about. With a helper, the credential is theirs, and the account that acts.
    public let resident: ResidentCaller
    /// Who acts for the resident; nil for the resident.
    public let helper: HelperCaller?

    public init(context: WebContext) throws {
        switch context.caller {
        case .resident(let resident): (self.resident, helper) = (resident, nil)
        case .helper(let helper): (resident, self.helper) = (ResidentCaller(helper), helper)
        case .staff: throw Problem.forbidden
        case .anonymous, .organisation: throw context.signInFirst()
        }
        coreContext = context.coreContext
        web = context
    }
}

extension ResidentCaller {
    fileprivate init(_ helper: HelperCaller) {
        self.init(
            accountID: helper.accountID, residentID: helper.residentID, publicCode: helper.publicCode, identityAssurance: 0, authentication: helper.authentication,
            language: helper.language, scope: [], clientID: nil, credential: helper.credential)
    }
}

/// Anybody with a web session, a resident or a member of staff: what concerns their account and not their work.
public struct SignedInContext: ChildRequestContext, PageContext {
    public var coreContext: CoreRequestContextStorage
    public let web: WebContext
    public let credential: CredentialHash
    public let authentication: Authentication
    /// How the person knows this account: a resident by their code, staff by their name.
    public let accountName: String
    public let isStaff: Bool

    public init(context: WebContext) throws {
        switch context.caller {
        case .resident(let resident):
            (credential, authentication, accountName, isStaff) = (resident.credential, resident.authentication, resident.publicCode, false)
        case .staff(let staff):
            (credential, authentication, accountName, isStaff) = (staff.credential, staff.authentication, staff.name, true)
        case .helper: throw Redirection(to: Representing.path)
        case .anonymous, .organisation:
            throw context.signInFirst()
        }
        coreContext = context.coreContext
        web = context
    }
}

/// A member of staff with a web session. Routes that need a role use `site.staff([.caseworker])`.
public struct StaffContext: ChildRequestContext, PageContext {
    public var coreContext: CoreRequestContextStorage
    public let web: WebContext
    public let staff: StaffCaller

    public init(context: WebContext) throws {
        guard case .staff(let staff) = context.caller else {
            switch context.caller {
            case .resident, .helper: throw Problem.forbidden
            default: break
            }
            throw context.signInFirst()
        }
        coreContext = context.coreContext
        web = context
        self.staff = staff
    }
}

/// A resident's app with an access token.
public struct ResidentAPIContext: ChildRequestContext, PageContext {
    public var coreContext: CoreRequestContextStorage
    public let web: WebContext
    public let resident: ResidentCaller

    public init(context: WebContext) throws {
        guard case .resident(let resident) = context.caller else { throw Problem.organisationToken }
        coreContext = context.coreContext
        web = context
        self.resident = resident
    }

    /// Refuses a token without a scope (RFC 6750 `insufficient_scope`).
    public func require(scope: String) throws {
        guard resident.scope.contains(scope) else { throw Problem.insufficientScope(scope) }
    }
}

/// A bearer token that nobody has looked up yet: the door derives the actor from it in its own statement.
public struct BearerContext: ChildRequestContext, PageContext {
    public var coreContext: CoreRequestContextStorage
    public let web: WebContext
    public let credential: CredentialHash

    public init(context: WebContext) throws {
        guard let credential = context.bearer else { throw Problem.unauthorised(nil) }
        coreContext = context.coreContext
        web = context
        self.credential = credential
    }

    /// What to throw when the door says that the token is unknown, expired or revoked.
    public static let invalidToken = Problem.unauthorised("invalid_token")
    /// What to throw when there is no token at all.
    public static let missingToken = Problem.unauthorised(nil)
}
