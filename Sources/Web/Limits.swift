// Configuration: what one client may cost, each limit with its unit in its name and the reason for its number. Limits that are part
// of a format (a token's length, a public key's) stand beside the code that reads it; a slice may take a smaller body than this.

/// What a client may cost. The defaults suit a city; tests make them small.
public struct WebLimits: Sendable {
    /// One header field. Browsers send cookies of a few hundred bytes and we set four; 8 KiB is what Apache and nginx allow.
    public var headerFieldBytesMax = 8 * 1024
    /// All header fields of one request together: the same habit, doubled for proxies that add their own.
    public var headerListBytesMax = 16 * 1024
    /// Header fields in one request; a browser sends about twenty.
    public var headerFieldsMax = 100
    /// From the first byte of a request to the end of its headers: 16 KiB take 7 s at 20 kbit/s, the worst line met in the field.
    public var headerSeconds = 15
    /// From the end of the headers to the end of the body. 64 KiB at 20 kbit/s take 27 s.
    public var bodySeconds = 40
    /// A form or a JSON body unless the route says otherwise. The longest form has a few free texts of 5,000 characters.
    public var bodyBytesMax = 64 * 1024
    /// Parameters in one form or query: the largest form, consent by attribute, has under a hundred.
    public var formFieldsMax = 250
    /// How deep JSON may nest: the deepest document of the API has four levels; recursion must not exhaust a 512 KiB stack.
    public var jsonDepthMax = 16
    /// A kept-alive connection without a request. Longer than the 60 s after which common load balancers reuse a connection.
    public var idleSeconds = 75
    /// One request from its headers to its response; then its work is cancelled and the answer is 503. A slow body may take its 40 s,
    /// which leaves 30 s for the work; statements end sooner.
    public var requestSeconds = 70
    /// Connections at once; more wait in the kernel's queue. Each costs about 30 KiB, so 2,000 stay near 60 MiB.
    public var connectionsMax = 2_000
    /// Smaller bodies go uncompressed: they fit a TCP segment beside their headers, and gzip would save nothing.
    public var compressedBytesMin = 600

    public init() {}
}
