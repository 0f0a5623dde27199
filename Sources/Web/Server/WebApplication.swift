// From the finished site to a running server: the responder that begins every request, and the Hummingbird application
// around it with its limits.
public import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore

/// Builds the server of a site.
public enum WebApplication {
    /// Checks the site and wraps it in an application that listens as configured and finishes requests in flight when it stops.
    /// - Throws: what is wrong with a declared page or navigation entry.
    public static func build(
        site: Site, logger: Logger, onServerRunning: @escaping @Sendable (any Channel) async -> Void = { _ in }
    ) throws -> Application<WebResponder> {
        let configuration = site.configuration
        return Application(
            responder: try WebResponder(site: site),
            configuration: ApplicationConfiguration(address: .hostname(configuration.host, port: configuration.port)),
            onServerRunning: onServerRunning, logger: logger)
    }
}

/// Begins every request: makes its context and hands it to the router.
public struct WebResponder: HTTPResponder {
    public typealias Context = ConnectionContext

    private let services: WebServices
    private let router: RouterResponder<WebContext>

    /// - Throws: what is wrong with a declared page or navigation entry.
    init(site: Site) throws {
        services = try site.makeServices()
        router = site.router.buildResponder()
    }

    public func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        let path = request.uri.path
        let state = RequestState(
            target: request.uri.string, path: path, isReturnable: request.method == .get,
            language: services.configuration.defaultLanguage, face: Self.face(ofPath: path), remoteAddress: context.remoteAddress)
        return try await router.respond(
            to: request, context: WebContext(source: WebContextSource(logger: context.logger, services: services, state: state)))
    }

    /// The face of a path before any route is known, and of paths that no route has.
    static func face(ofPath path: String) -> Face {
        let programs = ["/api/", "/oauth/", "/.well-known/", "/health/", "/log/"]
        return programs.contains { path.hasPrefix($0) || path == $0.dropLast() } ? .json : .page
    }
}

/// What a request brings along before the site has seen it: the connection's far end.
public struct ConnectionContext: RequestContext {
    public var coreContext: CoreRequestContextStorage
    /// The network address of whoever holds the other end of the connection; nil in tests without one.
    let remoteAddress: String?

    public init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        remoteAddress = source.channel.remoteAddress?.ipAddress
    }
}
