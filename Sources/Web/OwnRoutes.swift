// The routes of the web layer itself: what a site has before any slice adds to it.
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

extension Site {
    func addOwnRoutes() {
        let assets = files.assets
        everyone.post("/language", use: chooseLanguage)
        staticFiles.get("/assets/{file}") { _, context in try assets.response(path: context.state.path) }
        // Chromium asks for it once even though no page names it; an empty answer that it keeps costs least.
        staticFiles.get("/favicon.ico") { _, _ in Response(status: .noContent, headers: [.cacheControl: "public, max-age=31536000, immutable"]) }
        publicAPI.get("/health/live") { _, _ in Response.json(["status": "live"] as JSONValue) }
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

/// `GET /api/openapi.yaml`: the document as it lies in the checkout.
private func openAPIDocument(_ request: Request, _ context: WebContext) async throws -> Response {
    let file = context.services.configuration.rootDirectory + "/openapi.yaml"
    guard let data = FileManager.default.contents(atPath: file) else { throw Problem.notFound }
    return Response(
        status: .ok, headers: [.contentType: "application/yaml", .cacheControl: "no-cache"], body: .init(byteBuffer: ByteBuffer(bytes: data)))
}
