// Squares for cameras (QR codes, ISO/IEC 18004), drawn by the server into the page: no script, no image of another host. The part is parts/qr-code.
import CQrencode

/// An SVG of a code. Its text always stands beside it, for whoever has no camera.
public struct QRCode: ViewModel {
    /// Of a side, in modules.
    public let size: String
    /// Strokes of one unit's width along the middle of each row.
    public let path: String

    public static let fields: Fields<Self> = ["size": .text(\.size), "path": .text(\.path)]

    /// ISO/IEC 18004 wants four light modules around.
    private static let quietUnits = 4

    /// With error correction level M.
    /// - Returns: nil for a text that is longer than a code can be, 2,331 bytes.
    public init?(_ text: String) {
        guard let code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M) else { return nil }
        defer { QRcode_free(code) }
        let width = Int(code.pointee.width)
        let modules = UnsafeBufferPointer(start: code.pointee.data, count: width * width)
        var path = ""
        for row in 0..<width {
            var column = 0
            var end = 0
            var hasBegun = false
            while column < width {
                // The lowest bit says whether a module is dark.
                guard modules[row * width + column] & 1 == 1 else {
                    column += 1
                    continue
                }
                var run = 1
                while column + run < width, modules[row * width + column + run] & 1 == 1 { run += 1 }
                path += hasBegun ? "m\(column - end) 0h\(run)" : "M\(column + Self.quietUnits) \(row + Self.quietUnits).5h\(run)"
                hasBegun = true
                column += run
                end = column
            }
        }
        size = String(width + 2 * Self.quietUnits)
        self.path = path
    }
}
