// All ways to pay a bill, with what each costs, and paying by card or mobile money: to the provider and back; and what providers tell.
import Foundation
import HTTPTypes
import Hummingbird
public import Ledger
public import Postgres
import Primitives
public import Web

/// URL table of the ways to pay.
public struct ProviderRoutes: Sendable {
    private let database: Database
    private let ledger: Ledger
    private let baseURL: BaseURL

    public init(database: Database, ledger: Ledger, baseURL: BaseURL) {
        self.database = database
        self.ledger = ledger
        self.baseURL = baseURL
    }

    public func add(to site: Site) {
        site.declare(pages: [WaysPage.self, ProviderPage.self, AttemptPage.self])
        site.resident.get("/bills/{id}/ways", use: ways)
        site.resident.get("/bills/{id}/ways/{provider}", use: confirm)
        site.resident.post("/bills/{id}/ways/{provider}", use: begin)
        site.resident.get("/bills/{id}/attempts/{attempt}", use: attempt)
        site.publicAPI.post("/api/v1/payment-providers/{provider}/events", use: takeEvent)
    }

    // MARK: Residents

    @Sendable func ways(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let bill = try await find(context)
        if bill.isPaid { return context.redirect(to: "/bills/\(bill.id)") }
        let credential = context.resident.credential
        let providers = try await database.query(WaysOf(credential: credential, bill: bill.id))
        let account = try await database.optional(CollectingAccountFor(currency: bill.amount.currency))
        let balance = try await ledger.wallets(of: credential).first { $0.balance.currency == bill.amount.currency }?.balance
        return try context.page(WaysPage(bill, providers, balance: balance, hasAccount: account != nil, context), title: "payments.ways.title")
    }

    @Sendable func confirm(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await confirm(context)
    }

    private func confirm(_ context: ResidentContext, status: HTTPResponse.Status = .ok, hasChanged: Bool = false) async throws -> Response {
        let bill = try await find(context)
        let name: String = try context.parameter("provider")
        guard let way = try await database.query(WaysOf(credential: context.resident.credential, bill: bill.id)).first(where: { $0.id == name }) else {
            throw Problem.notFound
        }
        // The form's answer leads to the provider.
        context.allowFormAction(Self.origin(of: way.checkout))
        return try context.page(ProviderPage(bill, way, hasChanged: hasChanged, context), title: "payments.provider.title", ["name": way.name], status: status)
    }

    @Sendable func begin(_ request: Request, _ context: ResidentContext) async throws -> Response {
        var fields = FormReader(context.form)
        let id = fields.optionalText("id", charactersMax: 36).flatMap { AttemptID($0) } ?? .new()
        let fee = fields.integer("fee", in: 0...9_007_199_254_740_991)
        let bill: BillID = try context.parameter("id")
        let place = "/bills/\(bill)/attempts/\(id)"
        let statement = BeginAttempt(
            credential: context.resident.credential, bill: bill, provider: try context.parameter("provider"), attempt: id,
            receiptCode: PublicCode.random().description, fee: Int64(fee ?? -1), returnAddress: Self.escaped(baseURL.origin + place))
        let answer = try BankAnswer(try await database.transaction { try await $0.one(statement) })
        switch answer.outcome {
        case "begun": return context.redirect(to: answer["address"]?.text ?? place)
        case "exists": return context.redirect(to: place)
        case "open": return context.redirect(to: "/bills/\(bill)/attempts/\(answer["attempt"]?.text ?? "")")
        case "already_paid": return context.redirect(to: "/bills/\(bill)")
        case "fee_differs": return try await confirm(context, status: .conflict, hasChanged: true)
        default: throw Problem.notFound
        }
    }

    @Sendable func attempt(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let bill = try await find(context)
        let query = AttemptOf(credential: context.resident.credential, attempt: try context.parameter("attempt"))
        guard let attempt = try await database.optional(query), attempt.bill == bill.id else { throw Problem.notFound }
        return try context.page(AttemptPage(bill, attempt, context), title: "payments.attempt.title")
    }

    private func find(_ context: ResidentContext) async throws -> Bill {
        guard let bill = try await database.optional(BillOf(credential: context.resident.credential, bill: try context.parameter("id"))) else { throw Problem.notFound }
        return bill
    }

    // MARK: Providers

    @Sendable func takeEvent(_ request: Request, _ context: WebContext) async throws -> Response {
        let body = try await context.bytes(request, bytesMax: TakeProviderEvent.bodyBytesMax)
        guard let name = HTTPField.Name(EventSignature.headerName), let signature = request.headers[name].flatMap(EventSignature.init) else {
            throw Problem(
                "event-signature-invalid", status: .unauthorized, title: "Not signed by this provider",
                detail: "Send \(EventSignature.headerName): t=<seconds since 1970>,v1=<64 hexadecimal digits>.")
        }
        let outcome = try await TakeProviderEvent(database: database).perform(body, of: try context.parameter("provider"), signature)
        return try Response.json(["outcome": .string(outcome)] as JSONValue)
    }

    // MARK: Addresses

    /// Scheme, host and port of an address.
    static func origin(of address: String) -> String {
        guard let scheme = address.firstRange(of: "://") else { return address }
        return String(address[..<scheme.upperBound] + address[scheme.upperBound...].prefix { $0 != "/" })
    }

    /// Everything but RFC 3986's unreserved characters becomes %XX.
    static func escaped(_ address: String) -> String {
        address.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                String(Unicode.Scalar(byte))
            default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }
}
