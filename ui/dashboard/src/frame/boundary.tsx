import { Component, type ReactNode } from 'react';

interface Props {
  /** What is shown inside, in words: "The overview". */
  what: string;
  children: ReactNode;
}

/** Shows what happened where a component fails, and offers to reload, so that an error never leaves an empty page. */
export class Boundary extends Component<Props, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override componentDidUpdate({ what }: Props): void {
    if (what !== this.props.what && this.state.failed) this.setState({ failed: false });
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <section className="ax-blank fault" role="alert">
        <h2>{this.props.what} cannot be shown</h2>
        <p>This page has a fault, or the server was upgraded since it was loaded. Nothing was changed on the server. Reload the page; if that does not help, tell the operator. The browser’s console says more.</p>
        <div className="buttons">
          <button type="button" className="ax-button solid" onClick={() => location.reload()}>Reload</button>
        </div>
      </section>
    );
  }
}
