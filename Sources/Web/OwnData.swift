// What the city holds about a resident, part by part, as the slice that holds it gives it out: the same that its own pages and its own JSON show. Slices add their
// parts to the site; DataExport reads them all, one page after the other, and so needs to know no slice.

/// Who takes the data, and the request that they take it with, whose language its texts are in.
public struct OwnDataReader: Sendable {
    public let credential: CredentialHash
    public let context: WebContext

    public init(credential: CredentialHash, context: WebContext) {
        self.credential = credential
        self.context = context
    }

    public var language: Language { context.language }
}

/// Some items of a part, and where the next ones begin; nil at the end.
public struct OwnDataPage: Sendable {
    public let items: [JSONValue]
    public let next: String?

    public init(_ items: [JSONValue], next: String? = nil) {
        self.items = items
        self.next = next
    }

    /// A page out of a list that was asked for one row more than it shows.
    /// - Parameter cursor: where a page that ends with this row is followed.
    public init<Row>(_ rows: [Row], count: Int, cursor: (Row) -> MomentCursor, item: (Row) throws -> JSONValue) rethrows {
        let shown = rows.prefix(count)
        items = try shown.map(item)
        next = rows.count > count ? shown.last.map { cursor($0).description } : nil
    }
}

/// One part.
public struct OwnDataPart: Sendable {
    /// Rows in one read: few enough for the memory of a phone's request, many enough that a long log takes few.
    public static let itemsPerRead = 100

    /// A word for programs, such as `consents`.
    public let name: String
    /// Key of its name for people.
    public let textKey: String
    /// What an app's token needs for it.
    public let scope: String
    /// Whether another city or service can go on with it (GDPR Art. 20), or it is about what happened here alone.
    public let isPortable: Bool
    /// Reads a page; the cursor is what the page before gave.
    public let read: @Sendable (OwnDataReader, String?) async throws -> OwnDataPage

    public init(
        name: String, textKey: String, scope: String, isPortable: Bool = false,
        read: @escaping @Sendable (OwnDataReader, String?) async throws -> OwnDataPage
    ) {
        self.name = name
        self.textKey = textKey
        self.scope = scope
        self.isPortable = isPortable
        self.read = read
    }
}

extension PageContext {
    /// All parts, in the order in which the slices joined the site.
    public var ownData: [OwnDataPart] { web.services.ownData }
}
