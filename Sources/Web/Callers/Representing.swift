// A helper who acts for a resident: which pages know them, and what happens before one is shown. The slice Mandates says who it is and what is covered.
public import HTTPTypes
public import Hummingbird

/// What the site asks about a helper. Set by the slice that keeps the mandates.
public struct Representing: Sendable {
    /// Where helpers stand, and are sent from every page that was not made for them.
    public static let path = "/acting"

    /// What the helper calls the resident for whom they act.
    let name: @Sendable (CredentialHash) async throws -> String?
    /// Logs that the helper looks at a matter, committed before anything of it is told. False: the mandate does not cover it, or has ended.
    let logView: @Sendable (CredentialHash, String) async throws -> Bool

    public init(
        name: @escaping @Sendable (CredentialHash) async throws -> String?, logView: @escaping @Sendable (CredentialHash, String) async throws -> Bool
    ) {
        self.name = name
        self.logView = logView
    }
}

/// A page of residents that no mandate covers: helpers are sent to where they stand.
struct ResidentsThemselves: RouterMiddleware {
    typealias Context = ResidentContext

    func handle(_ request: Request, context: ResidentContext, next: (Request, ResidentContext) async throws -> Response) async throws -> Response {
        guard context.helper == nil else { throw Redirection(to: Representing.path) }
        return try await next(request, context)
    }
}

/// A page that mandates of one matter cover. The look is logged first.
struct HelpersToo: RouterMiddleware {
    typealias Context = ResidentContext

    let theme: String

    func handle(_ request: Request, context: ResidentContext, next: (Request, ResidentContext) async throws -> Response) async throws -> Response {
        if let helper = context.helper {
            guard try await context.web.services.representing?.logView(helper.credential, theme) == true else { throw Redirection(to: Representing.path) }
        }
        return try await next(request, context)
    }
}
