// The page of the slice, as what it shows.
import Web

/// `/your-data`: what is in the files, and the links to them.
struct DataExportPage: PageModel {
    static let template = "data-export/your-data"
    static let fields: Fields<Self> = ["parts": .texts(\.parts), "portable_parts": .texts(\.portableParts)]

    /// In the order of the file.
    var parts: [String]
    var portableParts: [String]

    init(_ context: ResidentContext) {
        parts = context.ownData.map { context.text($0.textKey) }
        portableParts = context.ownData.filter(\.isPortable).map { context.text($0.textKey) }
    }
}
