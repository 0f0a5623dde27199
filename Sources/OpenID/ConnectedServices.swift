// The services that a resident signs in at: which, since when, what each is told, and ending one. The URL table first.
import Foundation
import Hummingbird
public import Postgres
import Primitives
public import Web

public struct ConnectedServicesRoutes: Sendable {
    let database: Database

    public init(database: Database) { self.database = database }

    public func add(to site: Site) {
        site.declare(pages: [ConnectedServicesPage.self])
        site.addNavigation(.resident, path: "/connected-services", textKey: "openid.connected.navigation")
        site.resident.get("/connected-services", use: list)
        site.resident.post("/connected-services/{id}/end", use: end)
    }

    @Sendable func list(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let connections = try await database.query(FindConnections(session: context.resident.credential))
        return try context.page(ConnectedServicesPage(connections, context), title: "openid.connected.title")
    }

    /// Sent twice it has ended all the same.
    @Sendable func end(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let client: String = try context.parameter("id")
        guard client.utf8.count <= AuthenticateClient.clientIDCharactersMax else { throw Problem.notFound }
        // Consent waits for whoever decides about the same: not on a shared connection.
        _ = try await database.exclusive { connection in
            try await connection.one(Disconnect(session: context.resident.credential, client: client, language: context.language))
        }
        context.notice("openid.connected.ended")
        return context.redirect(to: "/connected-services")
    }
}

private struct FindConnections: Query {
    let session: CredentialHash

    struct Row: Sendable {
        let clientID: String
        let clientName: LocalisedText
        let organisationName: LocalisedText?
        let activity: UUID?
        let shared: [String]
        let connectedAt: Date
        let lastUsedAt: Date
        /// Whether it goes on when the resident has left.
        let isLasting: Bool
        let openSignIns: Int
    }

    var sql: SQL {
        """
        SELECT client_id, client_name, organisation_name, activity_id, shared, connected_at, last_used_at, is_lasting, open_sign_ins::bigint
          FROM openid.connections_of(\(session.bytes))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        try Row(
            clientID: row.next(), clientName: LocalisedText(row.next(JSONText.self)), organisationName: row.next(JSONText?.self).map { try LocalisedText($0) },
            activity: row.next(), shared: row.next(), connectedAt: row.next(), lastUsedAt: row.next(), isLasting: row.next(), openSignIns: row.next())
    }
}

/// False when there was nothing to end.
private struct Disconnect: Query {
    let session: CredentialHash
    let client: String
    let language: Language

    var sql: SQL { "SELECT openid.disconnect(\(session.bytes), \(client), \(language.tag))" }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// The page `openid/connected`.
struct ConnectedServicesPage: PageModel {
    static let template = "openid/connected"

    var services: [Service]
    var isEmpty: Bool

    static let fields: Fields<Self> = ["services": .list(\.services), "is_empty": .flag(\.isEmpty)]

    struct Service: ViewModel {
        var id: String
        var client: String
        var organisation: String
        var since: String
        var last: String
        var attributes: [String]
        var isTold: Bool
        var sharing: Link?
        var isOpen: Bool
        var isLasting: Bool
        var end: Link

        static let fields: Fields<Self> = [
            "id": .text(\.id), "client": .text(\.client), "organisation": .text(\.organisation), "since": .text(\.since), "last": .text(\.last),
            "attributes": .texts(\.attributes), "is_told": .flag(\.isTold), "sharing": .optionalLink(\.sharing), "is_open": .flag(\.isOpen),
            "is_lasting": .flag(\.isLasting), "end": .link(\.end),
        ]
    }

    fileprivate init(_ rows: [FindConnections.Row], _ context: some PageContext) {
        services = rows.map { row in
            Service(
                id: row.clientID, client: row.clientName.text(context.language), organisation: row.organisationName?.text(context.language) ?? "",
                since: context.format.day(row.connectedAt), last: context.format.dateTime(row.lastUsedAt),
                attributes: row.shared.map { context.text("attributes.\($0)") }, isTold: !row.shared.isEmpty,
                sharing: row.activity.map { Link("/consents/\($0.uuidString.lowercased())") }, isOpen: row.openSignIns > 0, isLasting: row.isLasting,
                end: Link("/connected-services/\(row.clientID)/end"))
        }
        isEmpty = services.isEmpty
    }
}
