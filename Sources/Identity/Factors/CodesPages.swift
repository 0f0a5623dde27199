// A sheet of numbered codes, or recovery codes: the page that shows them once, to be printed or copied.
import Foundation
import Hummingbird
import HTTPTypes
import Primitives
import Web

/// The answer to making codes. It is shown once: a reload makes others.
struct CodesPage: PageModel {
    static let template = "identity/codes"

    var title: String
    var lead: String
    var city: String
    var madeOn: String
    var rows: [Row]
    /// Where to go on once it is printed.
    var continuing: Link

    struct Row: ViewModel {
        var number: String
        var code: String
        static let fields: Fields<Self> = ["number": .text(\.number), "code": .text(\.code)]
    }

    static let fields: Fields<Self> = [
        "title": .text(\.title), "lead": .text(\.lead), "city": .text(\.city), "made_on": .text(\.madeOn), "rows": .list(\.rows),
        "continuing": .link(\.continuing),
    ]

    init(_ codes: NewCodes, city: String, continuing: Link, _ context: some PageContext) {
        title = context.text("identity.codes.\(codes.kind.rawValue).title")
        lead = context.text("identity.codes.\(codes.kind.rawValue).lead")
        self.city = city
        madeOn = context.format.day(Date())
        rows = codes.codes.enumerated().map { Row(number: context.format.number($0.offset + 1), code: $0.element) }
        self.continuing = continuing
    }
}

extension IdentityRoutes {
    @Sendable func makeSheet(_ request: Request, _ context: SignedInContext) async throws -> Response {
        try await make(.codeSheet, context)
    }

    @Sendable func makeRecoveryCodes(_ request: Request, _ context: SignedInContext) async throws -> Response {
        try await make(.recoveryCodes, context)
    }

    private func make(_ kind: FactorKind, _ context: SignedInContext) async throws -> Response {
        try await changing(context) {
            let codes = try await identity.makeCodes(kind, context.credential)
            return try context.page(
                CodesPage(codes, city: identity.settings.city, continuing: "/security", context), title: "identity.codes.\(kind.rawValue).title")
        }
    }
}
