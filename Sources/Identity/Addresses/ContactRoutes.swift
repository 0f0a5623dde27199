// How we reach you: the resident's addresses, the code that proves one, and which messages go where.
import Delivery
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Web

/// URL table of addresses.
public struct ContactRoutes: Sendable {
    private let addresses: Addresses
    private let database: Database

    public init(addresses: Addresses, database: Database) {
        self.addresses = addresses
        self.database = database
    }

    public func add(to site: Site) {
        site.declare(pages: [ContactPage.self, AddAddressPage.self, VerifyAddressPage.self])
        site.addTasks(tasks)
        site.addOwnData(OwnDataPart(name: "addresses", textKey: "contact.own_data", scope: "profile", read: readOwn))
        site.resident.get("/contact", use: show)
        site.resident.post("/contact", use: choose)
        site.resident.get("/contact/addresses/new", use: showAdd)
        site.resident.post("/contact/addresses", use: add)
        site.resident.get("/contact/addresses/{address}", use: showVerify)
        site.resident.post("/contact/addresses/{address}/code", use: verify)
        site.resident.post("/contact/addresses/{address}/again", use: sendAgain)
        site.resident.post("/contact/addresses/{address}/primary", use: prefer)
        site.resident.post("/contact/addresses/{address}/remove", use: remove)
        site.residentAPI.get("/api/v1/addresses", use: list)
    }

    /// An address whose code this browser waits for.
    @Sendable func tasks(of resident: ResidentCaller, _ context: WebContext) async throws -> [HomeTask] {
        try await addresses.all(of: resident.credential).filter { $0.verifiedAt == nil && $0.codeUntil != nil }.map { address in
            HomeTask(
                title: context.text("contact.task.title"), detail: context.text("contact.task.detail", ["address": address.value.isolated]), path: address.path)
        }
    }

    @Sendable func show(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await page(context, nil)
    }

    @Sendable func choose(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let wishes = try await wishes(of: context.resident.credential)
        let form = ContactForm(context.form, wishes, try await addresses.all(of: context.resident.credential))
        guard let chosen = form.wishes else { return try await page(context, form.fields.state) }
        guard try await database.exclusive({ try await $0.one(ChooseContactWishes(session: context.resident.credential, wishes: chosen)) }) else {
            throw context.signInFirst()
        }
        context.notice("contact.saved")
        return context.redirect(to: "/contact")
    }

    @Sendable func showAdd(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try context.page(AddAddressPage(context.formView()), title: "contact.add.title")
    }

    @Sendable func add(_ request: Request, _ context: ResidentContext) async throws -> Response {
        var form = AddressForm(context.form)
        guard let address = form.address else { return try addAgain(form, context) }
        let (outcome, id) = try await addresses.add(address, session: context.resident.credential, language: context.language)
        switch outcome {
        case .sent: return context.redirect(to: "/contact/addresses/\(id)")
        case .credentialInvalid: throw context.signInFirst()
        case .alreadyVerified, .tooManyCodes, .tooManyAddresses:
            form.fields.reject(address.kind.rawValue, "contact.add.\(outcome.rawValue)")
            return try addAgain(form, context, status: outcome == .tooManyCodes ? .tooManyRequests : .unprocessableContent)
        }
    }

    @Sendable func showVerify(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let address = try await own(context)
        guard address.verifiedAt == nil else { return context.redirect(to: "/contact") }
        return try context.page(VerifyAddressPage(address, context.formView(), context), title: "contact.verify.title")
    }

    @Sendable func verify(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let address = try await own(context)
        guard address.verifiedAt == nil else { return context.redirect(to: "/contact") }
        var fields = FormReader(context.form)
        let typed = fields.secret("code", charactersMax: 40)
        guard fields.isValid, let typed else { return try verifyAgain(address, fields, context) }
        switch try await addresses.verify(address, typed: typed.reveal(), session: context.resident.credential) {
        case .verified:
            context.notice("contact.verify.done")
            return context.redirect(to: "/contact")
        case .credentialInvalid: throw context.signInFirst()
        case .malformed: fields.reject("code", "contact.verify.malformed", ["digits": context.format.number(AddressCode.digits)])
        case .wrong(let left): fields.reject("code", "contact.verify.wrong", ["left": context.format.number(left)])
        case .ended: fields.reject("code", "contact.verify.ended")
        }
        // Once more, because a code may have ended with this try.
        return try verifyAgain(try await own(context), fields, context)
    }

    @Sendable func sendAgain(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let address = try await own(context)
        switch try await addresses.sendAgain(address, session: context.resident.credential, language: context.language) {
        case .sent, .alreadyVerified: context.notice("contact.verify.sent_again")
        case .tooManyCodes, .tooManyAddresses: context.notice("contact.verify.too_many")
        case .credentialInvalid: throw context.signInFirst()
        }
        return context.redirect(to: address.path)
    }

    @Sendable func prefer(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await changed(context, await addresses.prefer(context.parameter("address"), session: context.resident.credential))
    }

    @Sendable func remove(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await changed(context, await addresses.remove(context.parameter("address"), session: context.resident.credential))
    }

    @Sendable func list(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "profile")
        let all = try await addresses.all(of: context.resident.credential)
        return .json(["items": .array(all.map(\.json)), "next_cursor": nil])
    }

    @Sendable private func readOwn(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        OwnDataPage(try await addresses.all(of: reader.credential).map(\.json))
    }
}

extension Address {
    /// An address in JSON.
    fileprivate var json: JSONValue {
        [
            "id": .string(id.description), "kind": .string(kind.rawValue), "value": .string(value),
            "verified_at": verifiedAt.map { .string(RFC3339.text($0)) } ?? .null, "is_primary": .bool(isPrimary),
        ]
    }
}

// What several handlers share.
extension ContactRoutes {
    private func wishes(of credential: CredentialHash) async throws -> ContactWishes {
        ContactWishes(try await database.query(OwnContactWishes(credential: credential)))
    }

    private func page(_ context: ResidentContext, _ state: FormState?) async throws -> Response {
        let wishes = try await wishes(of: context.resident.credential)
        let all = try await addresses.all(of: context.resident.credential)
        let form = context.formView(state ?? .filled(wishes.filled(offered: ContactForm.offered(wishes, all))))
        return try context.page(ContactPage(all, wishes, form, context), title: "contact.title", status: state == nil ? .ok : .unprocessableContent)
    }

    /// The address that the path names: 404 when it is somebody else's.
    private func own(_ context: ResidentContext) async throws -> Address {
        let id: AddressID = try context.parameter("address")
        guard let address = try await addresses.all(of: context.resident.credential).first(where: { $0.id == id }) else { throw Problem.notFound }
        return address
    }

    private func addAgain(_ form: AddressForm, _ context: ResidentContext, status: HTTPResponse.Status = .unprocessableContent) throws -> Response {
        try context.page(AddAddressPage(context.formView(form.fields.state)), title: "contact.add.title", status: status)
    }

    private func verifyAgain(_ address: Address, _ fields: FormReader, _ context: ResidentContext) throws -> Response {
        try context.page(
            VerifyAddressPage(address, context.formView(fields.state), context), title: "contact.verify.title", status: .unprocessableContent)
    }

    private func changed(_ context: ResidentContext, _ outcome: ChangeAddressOutcome) async throws -> Response {
        switch outcome {
        case .changed: context.notice("contact.changed")
        case .removed: context.notice("contact.removed")
        case .lastName: context.notice("contact.last_name")
        case .unchanged: break
        case .addressUnknown: throw Problem.notFound
        case .credentialInvalid: throw context.signInFirst()
        }
        return context.redirect(to: "/contact")
    }
}
