// First step at every OAuth endpoint: the parameters, each at most once. RFC 6749 §3.1 and §3.2: "Request and response
// parameters MUST NOT be included more than once", whichever they are, and one without a value counts as absent.
import HTTPTypes
import Hummingbird
import Web

/// The parameters of one request.
struct OAuthParameters: Sendable {
    private let values: [String: String]
    /// Parameters that were sent more than once; they have no value here.
    let duplicates: Set<String>

    init(_ form: Form) {
        var values: [String: String] = [:]
        var duplicates: Set<String> = []
        for name in form.names where values[name] == nil && !duplicates.contains(name) {
            let all = form.values(name)
            if all.count == 1 { values[name] = all[0] } else { duplicates.insert(name) }
        }
        self.values = values.filter { !$0.value.isEmpty }
        self.duplicates = duplicates
    }

    /// The value of a parameter, nil when it is absent, empty or sent twice.
    subscript(name: String) -> String? { values[name] }

    /// - Throws: `invalid_request` when it is absent.
    func required(_ name: String) throws(OAuthError) -> String {
        guard let value = values[name] else { throw OAuthError(.invalidRequest, "The parameter \(name) is missing.") }
        return value
    }

    /// - Throws: `invalid_request`, naming one of the parameters that came twice.
    func refuseDuplicates() throws(OAuthError) {
        guard let name = duplicates.min() else { return }
        throw OAuthError(.invalidRequest, "Send each parameter once; \(name.prefix(40)) came more than once.")
    }
}

extension OAuthParameters {
    /// Largest body of a token or revocation request: four times the longest assertion, so that a too long one is told so.
    static let bodyBytesMax = 32 * 1024

    /// The parameters of a form body, none of them twice.
    /// - Throws: `OAuthError` for everything that is wrong with the body.
    static func read(_ request: Request, _ context: WebContext) async throws -> OAuthParameters {
        do {
            let parameters = OAuthParameters(try await context.form(request, bytesMax: bodyBytesMax))
            try parameters.refuseDuplicates()
            return parameters
        } catch let problem as Problem {
            throw OAuthError(problem)
        }
    }
}

extension OAuthParameters {
    /// The first of our languages among `ui_locales` (OpenID Connect Core §3.1.2.1): tags with spaces between, the best first.
    var preferredLanguage: Language? {
        (self["ui_locales"] ?? "").split(separator: " ").prefix(20).lazy
            .compactMap { tag in tag.split(separator: "-").first.flatMap { Language(rawValue: $0.lowercased()) } }.first
    }
}
