// The small city that the tests of this folder serve: the real layout, parts, texts and stylesheet, a few pages of its
// own, and four people with credentials.
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Primitives
import Synchronization
import TestSupport

@testable import Web

/// The checkout's root, found from this file.
let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

/// A root directory with the web layer's own files and the templates of these tests.
func makeRoot(templates: [String: String] = [:]) throws -> String {
    let files = FileManager.default
    let root = try TemporaryFolder.make().path
    for folder in ["templates/sample", "config/locales/en", "config/locales/fr", "config/locales/ar"] {
        try files.createDirectory(atPath: "\(root)/\(folder)", withIntermediateDirectories: true)
    }
    for path in ["templates/base.mustache", "templates/parts", "templates/errors", "assets", "openapi.yaml"] {
        try files.copyItem(atPath: "\(checkout)/\(path)", toPath: "\(root)/\(path)")
    }
    for language in ["en", "fr", "ar"] {
        for name in ["web", "errors"] {
            try files.copyItem(
                atPath: "\(checkout)/config/locales/\(language)/\(name).yaml", toPath: "\(root)/config/locales/\(language)/\(name).yaml")
        }
        try "title: Sample \(language)\nname: Name\nsaved: Saved in \(language)\n".write(
            toFile: "\(root)/config/locales/\(language)/sample.yaml", atomically: true, encoding: .utf8)
    }
    for (name, text) in sampleTemplates.merging(templates, uniquingKeysWith: { $1 }) {
        try text.write(toFile: "\(root)/templates/\(name).mustache", atomically: true, encoding: .utf8)
    }
    return root
}

private let sampleTemplates = [
    "sample/hello": """
    {{% CONTENT_TYPE:HTML}}
    <h1>[[sample.title]]</h1>
    <p class="lead">{{greeting}}</p>
    """,
    "sample/form": """
    {{% CONTENT_TYPE:HTML}}
    <h1>[[sample.title]]</h1>
    {{#errors}}{{>parts/error-summary}}{{/errors}}
    <form method="post" action="/sample">[[csrf]]
    {{#name}}{{>parts/text-field}}{{/name}}
    <button>OK</button></form>
    """,
]

struct HelloPage: PageModel {
    static let template = "sample/hello"
    var greeting: String
    static let fields: Fields<Self> = ["greeting": .text(\.greeting)]
}

struct FormPage: PageModel {
    static let template = "sample/form"
    var errors: ErrorSummary?
    var name: TextField
    static let fields: Fields<Self> = ["errors": .optional(\.errors), "name": .model(\.name)]
}

/// The tokens that the sample city knows.
enum Token {
    static let resident = "resident-session"
    static let caseworker = "caseworker-session"
    static let auditor = "auditor-session"
    static let app = "app-access-token"
    static let organisation = "organisation-access-token"
}

/// With a password, at one moment.
private let byPassword = Authentication(
    sessionID: UUID(), level: 1, at: Date(timeIntervalSince1970: 1_900_000_000), secondFactor: nil, secondFactorAt: nil,
    endsAt: Date(timeIntervalSince1970: 1_900_000_900), isShared: false)

/// What these people's rows would say; the statement itself is tested against PostgreSQL.
private let people: [CredentialHash: (kind: CredentialKind, caller: Caller)] = {
    func resident(_ token: String, scope: Set<String>, language: Language?) -> Caller {
        .resident(
            ResidentCaller(
                accountID: AccountID(UUID(uuidString: "0191aaaa-0000-7000-8000-000000000001")!), residentID: .new(),
                publicCode: "A<b>-A&A", identityAssurance: 1, authentication: byPassword, language: language, scope: scope,
                clientID: scope.isEmpty ? nil : "app", credential: CredentialHash(token: token)))
    }
    func staff(_ token: String, _ roles: Set<StaffRole>) -> Caller {
        .staff(StaffCaller(staffID: .new(), name: "Noor", roles: roles, language: nil, authentication: byPassword, credential: CredentialHash(token: token)))
    }
    let organisation = Caller.organisation(
        OrganisationCaller(
            organisationID: "clinic", clientID: "clinic", scope: ["exchange"], credential: CredentialHash(token: Token.organisation)))
    return [
        CredentialHash(token: Token.resident): (.session, resident(Token.resident, scope: [], language: .french)),
        CredentialHash(token: Token.caseworker): (.session, staff(Token.caseworker, [.caseworker])),
        CredentialHash(token: Token.auditor): (.session, staff(Token.auditor, [.auditor])),
        CredentialHash(token: Token.app): (.accessToken, resident(Token.app, scope: ["consents"], language: nil)),
        CredentialHash(token: Token.organisation): (.accessToken, organisation),
    ]
}()

/// Keeps the lines of a request log.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: [UInt8]) { lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
    var all: [String] { lines.withLock { $0 } }
}

func sampleConfiguration(
    baseURL: String = "http://localhost:8080", log: LogLines = LogLines(), templates: [String: String] = [:],
    limits: WebLimits = WebLimits()
) throws -> WebConfiguration {
    WebConfiguration(
        baseURL: try BaseURL(baseURL), cityName: "Sample <City>", timeZone: TimeZone(identifier: "Europe/Paris") ?? .gmt,
        rootDirectory: try makeRoot(templates: templates), port: 0, limits: limits, requestLog: { log.add($0) })
}

/// A site with one route of each kind.
func sampleSite(_ configuration: WebConfiguration) throws -> Site {
    let site = try Site(configuration: configuration) { hash, kind in
        guard let person = people[hash], person.kind == kind else { return nil }
        return person.caller
    }
    site.declare(pages: [HelloPage.self, FormPage.self])
    site.addNavigation(.resident, path: "/sample", textKey: "sample.title")
    site.everyone.get("/hello") { _, context in try context.page(HelloPage(greeting: "Hello"), title: "sample.title") }
    site.everyone.get("/sign-in") { _, context in
        try context.page(FormPage(errors: nil, name: context.formView().text("name", label: "sample.name")), title: "sample.title")
    }
    site.everyone.post("/sign-in") { _, context in
        SessionCookie.issue(Token.resident, in: context)
        return context.redirect(to: "/sample")
    }
    site.everyone.get("/undeclared-error") { _, _ in throw SampleError() }
    site.everyone.get("/leave") { _, context in
        context.allowFormAction("https://clinic.example")
        context.allowFormAction("https://evil.example; script-src *")
        return try context.page(HelloPage(greeting: "Leave"), title: "sample.title")
    }
    site.resident.get("/sample") { _, context in try samplePage(context, .blank, status: .ok) }
    site.resident.post("/sample") { _, context in
        var fields = FormReader(context.form)
        let name = fields.text("name", charactersMax: 5)
        guard fields.isValid else { return try samplePage(context, fields.state, status: .unprocessableContent) }
        context.logger.debug("saved", metadata: ["name": "\(name.count)"])
        context.notice("sample.saved")
        return context.redirect(to: "/sample")
    }
    site.staff.get("/staff/hello") { _, context in try context.page(HelloPage(greeting: context.staff.name), title: "sample.title") }
    site.staff([.caseworker]).get("/staff/cases/{id}") { _, context in
        let id: ID<StaffTag> = try context.parameter("id")
        return try context.page(HelloPage(greeting: id.description), title: "sample.title")
    }
    site.residentAPI.get("/api/v1/things") { _, context in
        try context.require(scope: "consents")
        return Response.json(["items": [], "who": .string(context.resident.publicCode)] as JSONValue)
    }
    site.residentAPI.put("/api/v1/things/{id}") { request, context in
        let id: ID<AccountTag> = try context.parameter("id")
        var body = try await context.json(request, bytesMax: 1_000)
        let state = body.string("state", charactersMax: 10)
        try body.finish()
        return Response.json(["id": .string(id.description), "state": .string(state)] as JSONValue)
    }
    site.bearerAPI.post("/api/v1/exchange/reads") { _, context in
        Response.json(["credential": .integer(Int64(context.credential.bytes.count))] as JSONValue)
    }
    site.everyone.get("/oauth/ask") { _, context in try context.page(HelloPage(greeting: "Allow?"), title: "sample.title") }
    site.everyone.post("/oauth/ask") { _, context in context.redirect(to: "/hello") }
    site.publicAPI.post("/oauth/token") { request, context in
        let form = try await context.form(request)
        return Response.json(["grant": .string(try form.value("grant_type") ?? "")] as JSONValue)
    }
    return site
}

struct SampleError: Error, CustomStringConvertible {
    var description: String { "sample trouble" }
}

private func samplePage(_ context: ResidentContext, _ state: FormState, status: HTTPResponse.Status) throws -> Response {
    let form = context.formView(state)
    return try context.page(
        FormPage(errors: form.errors, name: form.text("name", label: "sample.name", autocomplete: "name")), title: "sample.title",
        status: status)
}

/// Runs a story against the sample city without a socket.
func withSampleCity(
    _ configuration: WebConfiguration? = nil, _ story: @Sendable (any TestClientProtocol) async throws -> Void
) async throws {
    let application = try WebApplication.build(site: sampleSite(configuration ?? sampleConfiguration()), logger: quietLogger)
    try await application.test(.router) { client in try await story(client) }
}

/// Errors that a test provokes need not fill its output.
let quietLogger: Logger = {
    var logger = Logger(label: "web-tests")
    logger.logLevel = .critical
    return logger
}()

extension TestResponse {
    var text: String { String(buffer: body) }

    /// The value of a cookie that this answer sets.
    func cookie(_ name: String) -> String? {
        headers[values: .setCookie].lazy.compactMap { header -> String? in
            guard header.hasPrefix("\(name)=") else { return nil }
            return String(header.dropFirst(name.count + 1).prefix { $0 != ";" })
        }.first
    }

    /// The form token of the page's first form.
    var formToken: String? {
        guard let field = text.range(of: "name=\"form_token\" value=\"") else { return nil }
        return String(text[field.upperBound...].prefix { $0 != "\"" })
    }
}
