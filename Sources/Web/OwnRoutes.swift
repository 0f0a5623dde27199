// The routes of the web layer itself: what a site has before any slice adds to it.
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

extension Site {
    func addOwnRoutes() {
        let assets = files.assets
        everyone.post("/language", use: chooseLanguage)
        everyone.get("/problems/{slug}", use: aboutProblem)
        staticFiles.get("/assets/{file}") { _, context in try assets.response(path: context.state.path) }
        // Browsers ask for it once even though no page names it; an empty answer that they keep costs least.
        staticFiles.get("/favicon.ico") { _, _ in
            Response(status: .noContent, headers: [.cacheControl: "public, max-age=31536000, immutable"])
        }
        publicAPI.get("/health/live") { _, _ in Response.json(["status": "live"] as JSONValue) }
        publicAPI.get("/health/ready", use: readinessAnswer)
        publicAPI.get("/api/openapi.yaml", use: openAPIDocument)
    }
}

/// `POST /language`: remembers the language in a cookie, and for the account of who is signed in.
private func chooseLanguage(_ request: Request, _ context: WebContext) async throws -> Response {
    guard let language = try context.form.value("language").flatMap(Language.init(rawValue:)) else {
        throw Problem.malformedForm("There is no such language.")
    }
    let cookies = context.services.cookies
    // A year: the choice should outlive the visit, and browsers cap longer lives anyway (RFC 6265bis §5.5).
    context.state.setCookie(cookies.setCookie(cookies.language, language.tag, maxAgeSeconds: 31_536_000), named: cookies.language)
    if !context.caller.isAnonymous { try await context.services.rememberLanguage?(context.caller, language) }
    return context.redirect(to: Link.localPath(try context.form.value("return_to")) ?? "/")
}

/// `GET /problems/{slug}`: where the `type` of a problem leads whoever follows it.
private func aboutProblem(_ request: Request, _ context: WebContext) async throws -> Response {
    let slug: String = try context.parameter("slug")
    guard slug.utf8.count <= 64,
        slug.utf8.allSatisfy({
            $0 == UInt8(ascii: "-") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        })
    else { throw Problem.notFound }
    return try context.page(AboutProblemPage(slug: slug), title: "errors.about.title")
}

/// What the type of a problem is good for.
struct AboutProblemPage: PageModel {
    static let template = "errors/about"
    var slug: String
    static let fields: Fields<Self> = ["slug": .text(\.slug)]
}

/// `GET /health/ready`: whether requests can be served, database included. For load balancers.
private func readinessAnswer(_ request: Request, _ context: WebContext) async throws -> Response {
    do {
        try await context.services.readiness?()
        return Response.json(["status": "ready"] as JSONValue)
    } catch {
        context.logger.warning("not ready", metadata: ["error": "\(error)"])
        throw Problem.busy()
    }
}

/// `GET /api/openapi.yaml`: the document as it lies in the checkout.
private func openAPIDocument(_ request: Request, _ context: WebContext) async throws -> Response {
    let file = context.services.configuration.rootDirectory + "/openapi.yaml"
    guard let data = FileManager.default.contents(atPath: file) else { throw Problem.notFound }
    return Response(
        status: .ok, headers: [.contentType: "application/yaml", .cacheControl: "no-cache"],
        body: .init(byteBuffer: ByteBuffer(bytes: data)))
}
