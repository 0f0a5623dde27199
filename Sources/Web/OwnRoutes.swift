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
    guard context.services.problemTypes.contains(slug) else { throw Problem.notFound }
    return try context.page(AboutProblemPage(slug: slug), title: "errors.about.title")
}

/// What the type of a problem is good for.
struct AboutProblemPage: PageModel {
    static let template = "errors/about"
    var slug: String
    static let fields: Fields<Self> = ["slug": .text(\.slug)]
}

/// `GET /health/ready`: whether requests can be served, database included, and what is wrong although they can. For load balancers, which go by the
/// status, and for monitoring.
private func readinessAnswer(_ request: Request, _ context: WebContext) async throws -> Response {
    do {
        let warnings = try await context.services.readiness?() ?? []
        return Response.json(["status": "ready", "warnings": .array(warnings.map { .string($0) })] as JSONValue)
    } catch {
        context.logger.warning("not ready", metadata: ["error": "\(error)"])
        throw Problem.busy()
    }
}

enum OpenAPIDocument {
    /// Below the root directory.
    static let file = "/openapi.yaml"

    /// The slugs under `x-problem-types`: the lines that stand deeper than it and begin with `slug:`. Read by hand, because no other
    /// part of the document matters to the server; a test compares them with the document read as YAML.
    static func problemTypes(file: String) -> Set<String> {
        guard let data = FileManager.default.contents(atPath: file) else { return [] }
        var slugs: Set<String> = []
        var listIndent: Int?
        for line in String(decoding: data, as: UTF8.self).split(separator: "\n") {
            let text = line.drop { $0 == " " }
            let indent = line.count - text.count
            if let listIndent {
                guard indent > listIndent else { break }
                if let slug = text.split(separator: ":", maxSplits: 1).first, !text.hasPrefix("#") { slugs.insert(String(slug)) }
            } else if text == "x-problem-types:" {
                listIndent = indent
            }
        }
        return slugs
    }
}

/// `GET /api/openapi.yaml`: the document as it lies in the checkout.
private func openAPIDocument(_ request: Request, _ context: WebContext) async throws -> Response {
    let file = context.services.configuration.rootDirectory + OpenAPIDocument.file
    guard let data = FileManager.default.contents(atPath: file) else { throw Problem.notFound }
    return Response(
        status: .ok, headers: [.contentType: "application/yaml", .cacheControl: "no-cache"],
        body: .init(byteBuffer: ByteBuffer(bytes: data)))
}
