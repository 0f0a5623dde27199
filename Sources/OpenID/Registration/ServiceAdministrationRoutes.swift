// Organisation administrators see the services at which residents sign in, enter one, replace its keys and close it. The URL table first; pages in
// ServicePages.swift. What residents will read stands beside what is entered.
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Web

public struct ServiceAdministrationRoutes: Sendable {
    let database: Database

    public init(database: Database) { self.database = database }

    public func add(to site: Site) {
        site.declare(pages: [ServiceListPage.self, NewServicePage.self, OneServicePage.self])
        let administrators = site.staff([.organisationAdministrator])
        site.addNavigation(.staff, path: "/staff/services", textKey: "openid.admin.navigation", roles: [.organisationAdministrator])
        administrators.get("/staff/services", use: list)
        administrators.get("/staff/services/new", use: showNew)
        administrators.post("/staff/services/new", use: enter)
        administrators.get("/staff/services/{id}", use: show)
        administrators.post("/staff/services/{id}/keys", use: replaceKeys)
        administrators.post("/staff/services/{id}/close", use: close)
    }

    private static let addressesCharactersMax = 20_000
    private static let keysCharactersMax = 10_000

    @Sendable func list(_ request: Request, _ context: StaffContext) async throws -> Response {
        let services = try await database.query(FindServices(credential: context.staff.credential))
        return try context.page(ServiceListPage(services, context), title: "openid.admin.title")
    }

    @Sendable func showNew(_ request: Request, _ context: StaffContext) async throws -> Response {
        try newPage(context, .filled(["scope": "openid", "id_token_algorithm": "ES256"]))
    }

    @Sendable func enter(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let service = read(&fields)
        guard fields.isValid else { return try newPage(context, fields.state, status: .unprocessableContent) }
        do {
            try ClientRegistration.check(service)
            try await ClientRegistration.register(service, by: context.staff.credential, in: database)
        } catch let refusal as ClientRegistration.Refusal {
            fields.reject(refusal.field, "openid.admin.refused." + refusal.field)
            return try newPage(context, fields.state, status: .unprocessableContent)
        }
        context.notice("openid.admin.entered")
        return context.redirect(to: "/staff/services/\(service.id)")
    }

    @Sendable func show(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await page(try await find(context), context, .blank)
    }

    @Sendable func replaceKeys(_ request: Request, _ context: StaffContext) async throws -> Response {
        let service = try await find(context)
        var fields = FormReader(context.form)
        let keys = fields.longText("keys", charactersMax: Self.keysCharactersMax)
        guard fields.isValid else { return try await page(service, context, fields.state, status: .unprocessableContent) }
        do {
            let checked = try ClientRegistration.checkedKeySet(keys)
            _ = try await database.one(ReplaceServiceKeys(credential: context.staff.credential, id: service.id, keys: checked))
        } catch is ClientRegistration.Refusal {
            fields.reject("keys", "openid.admin.refused.keys")
            return try await page(service, context, fields.state, status: .unprocessableContent)
        }
        context.notice("openid.admin.keys_replaced")
        return context.redirect(to: "/staff/services/\(service.id)")
    }

    /// Its tokens end in the same moment (web.revoke_tokens_of_closed_client).
    @Sendable func close(_ request: Request, _ context: StaffContext) async throws -> Response {
        let service = try await find(context)
        _ = try await database.exclusive { try await $0.one(CloseService(credential: context.staff.credential, id: service.id)) }
        context.notice("openid.admin.closed")
        return context.redirect(to: "/staff/services")
    }

    private func read(_ fields: inout FormReader) -> ClientRegistration.Service {
        func lines(_ name: String) -> [String] {
            (fields.optionalLongText(name, charactersMax: Self.addressesCharactersMax) ?? "").split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
                .filter { !$0.isEmpty }
        }
        let names: [(Language, String?)] = [
            (.english, fields.text("name_en", charactersMax: 100)), (.french, fields.optionalText("name_fr", charactersMax: 100)),
            (.arabic, fields.optionalText("name_ar", charactersMax: 100)),
        ]
        return ClientRegistration.Service(
            id: fields.text("id", charactersMax: AuthenticateClient.clientIDCharactersMax), organisation: fields.text("organisation", charactersMax: 63),
            name: LocalisedText(Dictionary(uniqueKeysWithValues: names.compactMap { language, name in name.map { (language, $0) } })),
            redirectAddresses: lines("redirect_uris"), keySet: fields.optionalLongText("keys", charactersMax: Self.keysCharactersMax),
            scope: fields.list("scope", from: ScopeToken.ofServices.map(\.rawValue)), purpose: fields.optionalText("purpose", charactersMax: 63),
            idTokenAlgorithm: fields.choice("id_token_algorithm", from: SigningAlgorithm.allCases.map(\.rawValue)), isFAPI: fields.flag("fapi"),
            postLogoutAddresses: lines("post_logout_redirect_uris"), logoutAddress: fields.optionalText("backchannel_logout_uri", charactersMax: 500),
            hasDevices: fields.flag("devices"))
    }

    private func find(_ context: StaffContext) async throws -> FindServices.Row {
        let id: String = try context.parameter("id")
        guard let service = try await database.query(FindServices(credential: context.staff.credential)).first(where: { $0.id == id }) else { throw Problem.notFound }
        return service
    }

    private func newPage(_ context: StaffContext, _ state: FormState, status: HTTPResponse.Status = .ok) throws -> Response {
        try context.page(NewServicePage(context.formView(state), context), title: "openid.admin.new_title", status: status)
    }

    private func page(_ service: FindServices.Row, _ context: StaffContext, _ state: FormState, status: HTTPResponse.Status = .ok) async throws -> Response {
        try context.page(
            OneServicePage(service, context.formView(state), context), title: "openid.admin.one_title", ["name": service.name.text(context.language)], status: status)
    }
}

extension ClientRegistration.Refusal {
    /// The field of the form that it is about.
    fileprivate var field: String {
        switch self {
        case .badID, .idTaken: "id"
        case .badRedirectAddress: "redirect_uris"
        case .badScope: "scope"
        case .badKeys, .badProfile: "keys"
        case .badLogoutAddress: "backchannel_logout_uri"
        case .unknownOrganisation: "organisation"
        case .unknownPurpose: "purpose"
        }
    }
}

/// The services, for an organisation administrator; no row for anybody else.
struct FindServices: Query {
    let credential: CredentialHash

    struct Row: Sendable {
        let id: String
        let name: LocalisedText
        let organisation: LocalisedText
        let purpose: LocalisedText?
        let explanation: LocalisedText?
        let attributes: [String]
        let redirectAddresses: [String]
        let keyIDs: [String]
        let scope: [String]
        let isFAPI: Bool
        let registeredAt: Date
        let closedAt: Date?
    }

    var sql: SQL {
        """
        SELECT id, name, organisation_name, purpose_title, purpose_explanation, attributes, redirect_uris, key_ids, scope, is_fapi, created_at, closed_at
          FROM openid.services(\(credential.bytes))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        func text(_ row: inout RowReader) throws -> LocalisedText? { try row.next(JSONText?.self).map { try LocalisedText($0) } }
        return try Row(
            id: row.next(), name: LocalisedText(row.next(JSONText.self)), organisation: LocalisedText(row.next(JSONText.self)), purpose: text(&row),
            explanation: text(&row), attributes: row.next(), redirectAddresses: row.next(), keyIDs: row.next(), scope: row.next(), isFAPI: row.next(),
            registeredAt: row.next(), closedAt: row.next())
    }
}

private struct ReplaceServiceKeys: Query {
    let credential: CredentialHash
    let id: String
    let keys: JSONText
    var sql: SQL { "SELECT openid.replace_service_keys(\(credential.bytes), \(id), \(keys))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

private struct CloseService: Query {
    let credential: CredentialHash
    let id: String
    var sql: SQL { "SELECT openid.close_service(\(credential.bytes), \(id))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
