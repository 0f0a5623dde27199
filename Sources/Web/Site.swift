// The site under construction: slices add their routes to typed groups, name their pages and their navigation; then it
// is checked and becomes a responder. A group's type decides who gets in.
import Foundation
public import HTTPTypes
public import Hummingbird
import Logging

/// Who a route is for. The comparison with the OpenAPI document and the walk with the wrong caller go by it.
public enum Audience: Sendable, Hashable, CustomStringConvertible {
    case everyone
    /// Residents and staff alike.
    case signedIn
    case resident
    case staff
    /// Staff who hold one of the roles.
    case staffWith(Set<StaffRole>)
    case publicAPI
    case residentAPI
    case bearerAPI
    /// Assets and the like, which no document describes.
    case files

    /// Whether the route speaks JSON.
    public var isAPI: Bool {
        switch self {
        case .publicAPI, .residentAPI, .bearerAPI: true
        case .everyone, .signedIn, .resident, .staff, .staffWith, .files: false
        }
    }

    /// Whether somebody without a session is sent to sign in first.
    var needsSession: Bool {
        switch self {
        case .signedIn, .resident, .staff, .staffWith: true
        case .everyone, .publicAPI, .residentAPI, .bearerAPI, .files: false
        }
    }

    public var description: String {
        switch self {
        case .everyone: "everyone"
        case .signedIn: "everyone with a session"
        case .resident: "resident"
        case .staff: "staff"
        case .staffWith(let roles): "staff: " + roles.map(\.rawValue).sorted().joined(separator: ", ")
        case .publicAPI: "public API"
        case .residentAPI: "resident API"
        case .bearerAPI: "bearer API"
        case .files: "files"
        }
    }
}

/// One line of the site's URL table.
public struct RouteRecord: Sendable, Hashable {
    public let method: HTTPRequest.Method
    /// With `{name}` for parameters, as in OpenAPI.
    public let path: String
    public let audience: Audience
    /// The largest form that it takes from staff, where that is more than every form may have.
    public var formBytesMax: Int?
}

/// Remembers a language for an account, so that it is chosen at the next sign-in too.
public typealias LanguageMemory = @Sendable (Caller, Language) async throws -> Void

/// Throws when the service is not ready. Returns what operators should look at although it is: short names with dashes.
public typealias ReadinessProbe = @Sendable () async throws -> [String]

/// Where slices register what they serve. Made once, on one task, before the server starts.
public final class Site {
    let configuration: WebConfiguration
    let files: SiteFiles
    let router: Router<WebContext>
    let resolve: CredentialResolver
    private(set) var navigation: [NavigationItem] = []
    private(set) var pageTypes: [any PageModel.Type] = [ErrorPage.self, AboutProblemPage.self]
    /// Called when a signed-in person chooses a language.
    public var rememberLanguage: LanguageMemory?
    /// Asked by `/health/ready`: throws when requests cannot be served, because the database does not answer, say.
    public var readiness: ReadinessProbe?
    /// Asked about residents who act for another.
    public var representing: Representing?
    private let records = RouteRecords()
    private var taskSources: [TaskSource] = []
    private var staffTaskSources: [StaffTaskSource] = []
    private var ownData: [OwnDataPart] = []

    /// HTML for anybody, signed in or not.
    public let everyone: RouteGroup<WebContext>
    /// HTML for residents and staff with a session, about their own account.
    public let signedIn: RouteGroup<SignedInContext>
    /// HTML for residents with a session.
    public let resident: RouteGroup<ResidentContext>
    /// HTML for staff with a session, of any role.
    public let staff: RouteGroup<StaffContext>
    /// JSON or OAuth forms without a caller: token endpoint, metadata, health.
    public let publicAPI: RouteGroup<WebContext>
    /// JSON for residents' apps.
    public let residentAPI: RouteGroup<ResidentAPIContext>
    /// JSON for organisations: a bearer token that the handler's own statement resolves.
    public let bearerAPI: RouteGroup<BearerContext>

    let staticFiles: RouteGroup<WebContext>
    private let pages: RouterGroup<WebContext>

    /// - Parameters:
    ///   - configuration: addresses, city, limits and the folder with templates, assets and locales.
    ///   - resolve: finds out who holds a credential; `Site.resolver(using:)` asks the database.
    /// - Throws: what is wrong with the first bad template, catalogue or asset.
    public init(configuration: WebConfiguration, resolve: @escaping CredentialResolver) throws {
        self.configuration = configuration
        self.resolve = resolve
        files = try SiteFiles(configuration: configuration)
        router = Router(context: WebContext.self, options: [.autoGenerateHeadEndpoints])
        // The order of the house: what stands first sees everything, errors of the later ones included.
        router.addMiddleware {
            RequestLog()
            Delivery()
            SecurityHeaders()
            ErrorPages()
            LocaleChoice()
        }
        let pages = router.group().addMiddleware {
            SessionLookup()
            FormCheck()
        }
        let callers = router.group().addMiddleware {
            APIFace()
            TokenLookup()
        }
        let bearers = router.group().addMiddleware {
            APIFace()
            TokenReading()
        }
        let open = router.group().addMiddleware { APIFace() }
        self.pages = pages
        everyone = RouteGroup(pages, audience: .everyone, records: records)
        signedIn = RouteGroup(pages.group(context: SignedInContext.self), audience: .signedIn, records: records)
        resident = RouteGroup(pages.group(context: ResidentContext.self).add(middleware: ResidentsThemselves()), audience: .resident, records: records)
        staff = RouteGroup(pages.group(context: StaffContext.self), audience: .staff, records: records)
        staticFiles = RouteGroup(open, audience: .files, records: records)
        publicAPI = RouteGroup(open, audience: .publicAPI, records: records)
        residentAPI = RouteGroup(callers.group(context: ResidentAPIContext.self), audience: .residentAPI, records: records)
        bearerAPI = RouteGroup(bearers.group(context: BearerContext.self), audience: .bearerAPI, records: records)
        addOwnRoutes()
    }

    /// HTML for staff who hold one of the roles; others get a 403 page.
    public func staff(_ roles: Set<StaffRole>) -> RouteGroup<StaffContext> {
        let group = pages.group(context: StaffContext.self).add(middleware: RequireRole(roles: roles))
        return RouteGroup(group, audience: .staffWith(roles), records: records)
    }

    /// HTML for residents with a session, and for helpers whose mandate covers a matter. What it asks the database must know helpers (`mandates.person`).
    public func resident(helpersIn theme: String) -> RouteGroup<ResidentContext> {
        let group = pages.group(context: ResidentContext.self).add(middleware: HelpersToo(theme: theme))
        return RouteGroup(group, audience: .resident, records: records)
    }

    /// The URL table: every route with its audience, in the order of registration.
    public var routes: [RouteRecord] { records.all }

    /// Names the page models that a slice shows; each is checked against its template when the site is built.
    public func declare(pages: [any PageModel.Type]) {
        pageTypes.append(contentsOf: pages)
    }

    /// Adds an entry to the navigation of residents or staff, after those that are there.
    /// - Parameter roles: of the staff who can use the page; others do not see the entry. Nil: all of them.
    public func addNavigation(_ face: NavigationFace, path: String, textKey: String, roles: Set<StaffRole>? = nil) {
        navigation.append(NavigationItem(face: face, path: path, textKey: textKey, roles: roles))
    }

    /// Adds to what the home page asks a resident to do, after the tasks of those that are there.
    public func addTasks(_ source: @escaping TaskSource) {
        taskSources.append(source)
    }

    /// Adds to what the staff's home page says is waiting for them.
    public func addStaffTasks(_ source: @escaping StaffTaskSource) {
        staffTaskSources.append(source)
    }

    /// The texts by language, for what is written beside the requests.
    public var catalogues: [Language: Catalogue] { files.catalogues }

    /// Adds a part to what residents can take with them.
    public func addOwnData(_ part: OwnDataPart) {
        ownData.append(part)
    }

    /// Checks everything that was declared and freezes it.
    /// - Throws: `TemplateFailure` or `Catalogue.Failure`, naming what is to be mended.
    func makeServices() throws -> WebServices {
        for page in pageTypes { try files.templates.check(page) }
        for key in navigation.map(\.textKey) + ownData.map(\.textKey) {
            for (language, catalogue) in files.catalogues where catalogue.raw(key) == nil {
                throw Catalogue.Failure.missingText(key: key, language: language.tag)
            }
        }
        return WebServices(
            configuration: configuration, files: files, resolve: resolve, navigation: navigation, taskSources: taskSources, staffTaskSources: staffTaskSources,
            ownData: ownData,
            pageTypes: Set(pageTypes.map { ObjectIdentifier($0) }), routes: RouteTable(routes), rememberLanguage: rememberLanguage,
            readiness: readiness, representing: representing)
    }
}

/// Routes of one audience. Paths are whole and begin with a slash; parameters are `{name}`.
public struct RouteGroup<Context: RequestContext> {
    private let group: RouterGroup<Context>
    private let audience: Audience
    private let records: RouteRecords

    public typealias Handler = @Sendable (Request, Context) async throws -> Response

    init(_ group: RouterGroup<Context>, audience: Audience, records: RouteRecords) {
        self.group = group
        self.audience = audience
        self.records = records
    }

    public func get(_ path: String, use handler: @escaping Handler) { add(.get, path, handler) }
    public func post(_ path: String, use handler: @escaping Handler) { add(.post, path, handler) }
    /// A form of staff that is larger than forms are, because a file is pasted into it. From others the usual limit holds.
    public func post(_ path: String, formBytesMax: Int, use handler: @escaping Handler) { add(.post, path, formBytesMax: formBytesMax, handler) }
    public func put(_ path: String, use handler: @escaping Handler) { add(.put, path, handler) }
    public func delete(_ path: String, use handler: @escaping Handler) { add(.delete, path, handler) }

    private func add(_ method: HTTPRequest.Method, _ path: String, formBytesMax: Int? = nil, _ handler: @escaping Handler) {
        records.add(RouteRecord(method: method, path: path, audience: audience, formBytesMax: formBytesMax))
        group.on(RouterPath(path), method: method, use: handler)
    }
}

/// The table behind `Site.routes`, shared by the groups.
final class RouteRecords {
    private(set) var all: [RouteRecord] = []

    func add(_ record: RouteRecord) { all.append(record) }
}
